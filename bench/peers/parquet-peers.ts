/** Libraries that read the same Parquet files, each in the way that its documentation gives for finding rows by a value. */

import { openAsBlob } from 'node:fs';
import { createRequire } from 'node:module';
import { DuckDBInstance } from '@duckdb/node-api';
import { tableFromIPC } from 'apache-arrow';
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import * as wasm from 'parquet-wasm/node';
import type { OpenPeer, Peer, PeerFiles } from './peer.ts';
import { COLUMNS, type Row } from './table.ts';

const asRow = (answer: unknown) => answer as Row | undefined;

export const peers: readonly Peer[] = [
  { name: 'DuckDB on Parquet', answers: 'object', open: openDuckDb },
  { name: 'nodejs-polars', answers: 'object', open: openPolars },
  { name: 'hyparquet', answers: 'object', open: openHyparquet },
  { name: 'parquet-wasm', answers: 'object', open: openParquetWasm },
];

/** A prepared statement over a file whose metadata DuckDB keeps. */
async function openDuckDb({ parquet }: PeerFiles): Promise<OpenPeer> {
  const connection = await (await DuckDBInstance.create()).connect();
  await connection.run('SET parquet_metadata_cache = true');
  const statement = await connection.prepare(`SELECT * FROM read_parquet('${parquet}') WHERE id = $1`);
  const ask = async (id: number) => {
    statement.bindBigInt(1, BigInt(id));
    return (await statement.runAndReadAll()).getRowObjects()[0];
  };
  return { ask, asRow, close: () => connection.closeSync() };
}

/** The part of nodejs-polars that is used; the package is there only once this bench has installed it. */
interface Polars {
  scanParquet(path: string): { filter(predicate: unknown): { collect(): Promise<{ toRecords(): Row[] }> } };
  col(name: string): { eq(value: unknown): unknown };
  lit(value: unknown): unknown;
}

async function openPolars({ parquet }: PeerFiles): Promise<OpenPeer> {
  const polars = createRequire(import.meta.url)('nodejs-polars') as Polars;
  const ask = async (id: number) => {
    const scan = polars.scanParquet(parquet).filter(polars.col('id').eq(polars.lit(BigInt(id))));
    return (await scan.collect()).toRecords()[0];
  };
  return { ask, asRow, close: () => undefined };
}

/** Metadata kept, everything that spares reading switched on. */
async function openHyparquet({ parquet }: PeerFiles): Promise<OpenPeer> {
  const file = await asyncBufferFromFile(parquet);
  const metadata = await parquetMetadataAsync(file);
  const ask = async (id: number) => {
    const filter = { id: { $eq: BigInt(id) } };
    const sparing = { useOffsetIndex: true, usePageIndex: true, useBloomFilters: true };
    return (await parquetReadObjects({ file, metadata, compressors, filter, ...sparing }))[0];
  };
  return { ask, asRow, close: () => undefined };
}

/** It has no filters: the key column of each row group whose bounds admit the key, then the one row of the right group. */
async function openParquetWasm({ parquet }: PeerFiles): Promise<OpenPeer> {
  const bounds = (await parquetMetadataAsync(await asyncBufferFromFile(parquet))).row_groups.map(({ columns }) => {
    const statistics = columns[0]?.meta_data?.statistics;
    return [statistics?.min_value ?? statistics?.min, statistics?.max_value ?? statistics?.max] as [bigint, bigint];
  });
  const file = await wasm.ParquetFile.fromFile(await openAsBlob(parquet));
  const read = async (options: wasm.ReaderOptions) => tableFromIPC((await file.read(options)).intoIPCStream());
  const ask = async (id: number) => {
    const key = BigInt(id);
    for (const [group, [least, most]] of bounds.entries()) {
      if (key < least || key > most) continue;
      const ids = (await read({ rowGroups: [group], columns: ['id'] })).getChild('id')?.toArray() as BigInt64Array;
      const offset = ids.indexOf(key);
      if (offset < 0) continue;
      const row = (await read({ rowGroups: [group], columns: [...COLUMNS], offset, limit: 1 })).get(0);
      return row?.toJSON() as Row | undefined;
    }
    return undefined;
  };
  return { ask, asRow, close: () => file.free() };
}
