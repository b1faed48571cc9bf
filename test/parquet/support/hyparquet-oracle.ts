/** Columns as hyparquet reads them, in the stored form: no logical type is applied, so nothing is rounded. */

import { parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import type { LeafColumn } from '../../../src/parquet/schema.ts';
import { bufferOf, metadataOf } from './chunk-pages.ts';

/** Values of one flat leaf over the whole file: null, number, bigint, boolean or bytes; INT96 as nanoseconds. */
export async function oracleColumn(file: Uint8Array, leaf: LeafColumn): Promise<unknown[]> {
  const metadata = metadataOf(file);
  for (const element of metadata.schema) {
    if (element.type === undefined) continue;
    delete element.converted_type;
    delete element.logical_type;
  }
  const rows = await parquetReadObjects({
    file: bufferOf(file),
    metadata,
    compressors,
    utf8: false,
    columns: [leaf.path[0]!],
    parsers: { timestampFromNanoseconds: (nanos: bigint) => nanos } as never,
  });
  return rows.map((row) => {
    let value: unknown = row;
    for (const name of leaf.path) value = (value as Record<string, unknown> | null | undefined)?.[name];
    return value ?? null;
  });
}

/** An INT96 timestamp (nanoseconds of the day, Julian day) as nanoseconds since the epoch. */
export function int96Nanos(bytes: Uint8Array): bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset, 12);
  const days = BigInt(view.getInt32(8, true)) - 2440588n;
  return days * 86_400_000_000_000n + view.getBigInt64(0, true);
}
