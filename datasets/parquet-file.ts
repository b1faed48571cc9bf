/**
 * Writes columns as a Parquet file that is good to look up in: a page index over small pages, several row groups.
 * The same columns always give the same bytes.
 */

import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { constants, zstdCompressSync } from 'node:zlib';
import { ByteWriter, type ColumnSource, parquetWrite } from 'hyparquet-writer';
import type { Report } from './dataset.ts';

export interface ParquetSettings {
  readonly codec: 'SNAPPY' | 'ZSTD';
  /** Uncompressed bytes of one column's data page: 8 KiB are 1,024 doubles. */
  readonly pageBytes: number;
  readonly rowsPerRowGroup: number;
}

const zstd = { params: { [constants.ZSTD_c_compressionLevel]: 9 } };

export function writeParquetFile(
  path: string,
  columns: readonly ColumnSource[],
  settings: ParquetSettings,
  report: Report,
): void {
  const rows = columns[0]?.data.length ?? 0;
  let rowGroups = 0;
  const afterRowGroup = () => {
    rowGroups += 1;
    report('writing Parquet', Math.min(1, (rowGroups * settings.rowsPerRowGroup) / rows));
  };
  const writer = Object.assign(new ByteWriter(), { flush: afterRowGroup });
  parquetWrite({
    writer,
    columnData: columns.map((column) => ({ ...column, columnIndex: true, offsetIndex: true })),
    codec: settings.codec,
    compressors: { ZSTD: (bytes) => zstdCompressSync(bytes, zstd) },
    pageSize: settings.pageBytes,
    rowGroupSize: settings.rowsPerRowGroup,
    createdBy: 'pointlake datasets (hyparquet-writer)',
  });
  writeDurably(path, writer.getBytes());
}

/** On disk before it is renamed into place, so that a crash leaves either the old file or the whole new one. */
function writeDurably(path: string, bytes: Uint8Array): void {
  const descriptor = openSync(path, 'wx');
  try {
    for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
