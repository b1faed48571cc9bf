/** A folder of its own for a test, gone when the test is over; and Parquet files in it. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { ByteWriter, type ColumnSource, parquetWrite } from 'hyparquet-writer';

export function scratchFolder(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'pointlake-test-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export interface FixtureOptions {
  readonly rowsPerRowGroup?: number;
  readonly pageBytes?: number;
  /** Offset and column indexes; true by default. */
  readonly pageIndex?: boolean;
  readonly codec?: 'UNCOMPRESSED' | 'SNAPPY';
}

export function parquetBytes(columns: readonly ColumnSource[], options: FixtureOptions = {}): Buffer {
  const writer = new ByteWriter();
  const pageIndex = options.pageIndex ?? true;
  parquetWrite({
    writer,
    columnData: columns.map((column) => ({ columnIndex: pageIndex, offsetIndex: pageIndex, ...column })),
    codec: options.codec ?? 'SNAPPY',
    pageSize: options.pageBytes ?? 8 * 1024,
    rowGroupSize: options.rowsPerRowGroup ?? 10_000,
  });
  return Buffer.from(writer.getBytes());
}

export function writeParquet(path: string, columns: readonly ColumnSource[], options: FixtureOptions = {}): string {
  writeFileSync(path, parquetBytes(columns, options));
  return path;
}
