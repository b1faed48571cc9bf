/**
 * Rows written at once, from values that were loaded by the traits of their blocks, are held to the same rows written column by
 * column from the blocks themselves, which is how a lookup that holds its pages writes them.
 */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ColumnSource } from 'hyparquet-writer';
import { createNode } from '../../src/main.ts';
import { encodeRow } from '../../src/shard/encode-row.ts';
import { Pins, type SnapshotReadableFile, tableDefinition } from '../../src/table/index.ts';
import { asyncProperty } from '../parquet/support/property.ts';
import { noDeadline } from '../support/one-node.ts';
import { writeParquet } from '../support/scratch.ts';

/** Each with values that have no number, or none that JSON knows, among others that have. */
const KINDS: Readonly<Record<string, readonly [ColumnSource['type'], fc.Arbitrary<unknown>]>> = {
  boolean: ['BOOLEAN', fc.boolean()],
  int32: ['INT32', fc.integer()],
  int64: ['INT64', fc.oneof(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.bigInt({ min: -9n, max: 9n }))],
  float: ['FLOAT', fc.float()],
  double: ['DOUBLE', fc.oneof(fc.double(), fc.constantFrom(0, -0, Number.NaN, Number.NEGATIVE_INFINITY))],
  text: ['STRING', fc.string({ unit: fc.constantFrom('a', '"', '\\', '\n', 'é', '𝄞', '\u2028'), maxLength: 40 })],
  ascii: ['STRING', fc.string({ maxLength: 20 })],
  timestamp: ['TIMESTAMP', fc.date({ noInvalidDate: true })],
};
const NAMES = ['a', '7', '__proto__', 'toJSON', 'é"\\', 'constructor', 'f', 'g'];

const column = fc.record({
  kind: fc.constantFrom(...Object.keys(KINDS)),
  nulls: fc.constantFrom(0, 0, 0.3, 1),
  dictionary: fc.boolean(),
  pageBytes: fc.constantFrom(16, 100, 4096),
});

const tables = fc.record({
  columns: fc.array(column, { minLength: 1, maxLength: NAMES.length }),
  names: fc.shuffledSubarray(NAMES, { minLength: NAMES.length }),
  rows: fc.integer({ min: 1, max: 200 }),
  rowsPerRowGroup: fc.constantFrom(50, 1000),
  int64: fc.constantFrom('number' as const, 'string' as const),
  nonfinite: fc.constantFrom('null' as const, 'string' as const),
  seed: fc.nat(),
});

test('rows written at once equal rows written from their blocks, by random types, nulls, pages and names', async () => {
  let simple = 0;
  await asyncProperty(
    tables,
    async ({ columns, names, rows, rowsPerRowGroup, int64, nonfinite, seed }) => {
      const folder = mkdtempSync(join(tmpdir(), 'pointlake-row-values-'));
      const path = join(folder, 'rows.parquet');
      const data = columns.map(({ kind, nulls }, i) => {
        const [, arbitrary] = KINDS[kind]!;
        const values = fc.sample(arbitrary, { numRuns: rows, seed: seed + i });
        const isNull = fc.sample(fc.double({ min: 0, max: 1, noNaN: true }), { numRuns: rows, seed: seed - i });
        return values.map((value, row) => (isNull[row]! < nulls ? null : value));
      });
      writeParquet(
        path,
        [
          { name: 'id', data: Int32Array.from({ length: rows }, (_, row) => row), type: 'INT32' },
          ...columns.map(
            ({ kind, dictionary }, i): ColumnSource => ({
              name: names[i]!,
              data: data[i]!,
              type: KINDS[kind]![0]!,
              ...(kind === 'boolean'
                ? {}
                : { encoding: dictionary ? ('RLE_DICTIONARY' as const) : ('PLAIN' as const) }),
            }),
          ),
        ],
        { rowsPerRowGroup, pageBytes: columns[0]!.pageBytes },
      );
      const node = createNode({ s3: {}, cacheMemoryBytes: 2 ** 26, tables: [tableDefinition('rows', path, ['id'])] });
      try {
        const snapshot = await node.catalog.get('rows').refresh();
        const wanted = names.slice(0, columns.length).reverse();
        const projection = snapshot.projection(wanted, { int64, nonfinite });
        const file = snapshot.files[0] as SnapshotReadableFile;
        for (let row = 0; row < rows; row++) {
          await node.engine.row(snapshot, [row], projection, noDeadline);
          const place = { file, rowGroup: Math.floor(row / rowsPerRowGroup), row: row % rowsPerRowGroup };
          const atOnce = encodeRow(place, projection, undefined);
          assert.notEqual(atOnce, undefined, 'the row is in memory');
          assert.equal(atOnce, encodeRow(place, projection, new Pins()));
          simple += 1;
        }
      } finally {
        await node.close();
        rmSync(folder, { recursive: true });
      }
    },
    60,
  );
  assert.ok(simple > 1000, `${simple} rows were compared`);
});
