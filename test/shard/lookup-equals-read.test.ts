/**
 * Random tables, random keys: what a lookup answers, cold and hot, with a large budget and with none, is what reading
 * every row in order answers. The rows are known beforehand, so the oracle is the data itself.
 */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ColumnSource } from 'hyparquet-writer';
import { createNode } from '../../src/main.ts';
import { type Key, tableDefinition } from '../../src/table/index.ts';
import { asyncProperty } from '../parquet/support/property.ts';
import { noDeadline } from '../support/one-node.ts';
import { sampled } from '../support/sampled.ts';
import { writeParquet } from '../support/scratch.ts';

type Cell = number | bigint | string | null;

interface KeyKind {
  readonly type: ColumnSource['type'];
  readonly value: fc.Arbitrary<Exclude<Cell, null>>;
  readonly toKey: (value: Exclude<Cell, null>) => Key[number];
}

/** Small domains, so that keys repeat and absent keys lie between present ones. */
const KINDS: Readonly<Record<string, KeyKind>> = {
  int32: { type: 'INT32', value: fc.integer({ min: -40, max: 40 }), toKey: (value) => Number(value) },
  int64: {
    type: 'INT64',
    value: fc.bigInt({ min: 2n ** 62n, max: 2n ** 62n + 60n }),
    toKey: (value) => BigInt(value),
  },
  string: {
    type: 'STRING',
    value: fc.string({ unit: fc.constantFrom('a', 'b', 'é', '𝄞', '/'), maxLength: 3 }),
    toKey: (value) => Buffer.from(String(value)),
  },
};

const column = fc.constantFrom('int32', 'int64', 'string').chain((kind) => {
  const { value } = KINDS[kind] as KeyKind;
  return fc.record({
    kind: fc.constant(kind),
    values: fc.array(fc.oneof({ weight: 9, arbitrary: value }, { weight: 1, arbitrary: fc.constant(null) }), {
      minLength: 1,
      maxLength: 120,
      size: 'max',
    }),
    absent: fc.array(value, { minLength: 1, maxLength: 5 }),
    sorted: fc.boolean(),
    dictionary: fc.boolean(),
    bloomFilter: fc.boolean(),
  });
});

const layout = fc.record({
  pageBytes: fc.constantFrom(16, 64, 256, 4096),
  rowsPerRowGroup: fc.constantFrom(7, 50, 1000),
  pageIndex: fc.boolean(),
  codec: fc.constantFrom('UNCOMPRESSED' as const, 'SNAPPY' as const),
});

interface RandomColumn {
  readonly kind: string;
  readonly values: readonly Cell[];
  readonly sorted: boolean;
  readonly dictionary: boolean;
  readonly bloomFilter: boolean;
}

function sourceOf(name: string, random: RandomColumn, cells: readonly Cell[]): ColumnSource {
  const { type } = KINDS[random.kind] as KeyKind;
  return {
    name,
    data: [...cells],
    ...(type === undefined ? {} : { type }),
    nullable: true,
    bloomFilter: random.bloomFilter,
    ...(random.dictionary ? {} : { encoding: 'PLAIN' as const }),
  };
}

const bytewise = (a: Cell, b: Cell) => {
  if (typeof a === 'string' && typeof b === 'string') return Buffer.compare(Buffer.from(a), Buffer.from(b));
  return (a as number) < (b as number) ? -1 : 1;
};

/** Nulls last, so that the rest is in order. */
function arranged(random: RandomColumn): readonly Cell[] {
  if (!random.sorted) return random.values;
  const filled = random.values.filter((value) => value !== null).sort(bytewise);
  return [...filled, ...random.values.filter((value) => value === null)];
}

async function check(
  keys: readonly RandomColumn[],
  absent: readonly (readonly Exclude<Cell, null>[])[],
  settings: {
    pageBytes: number;
    rowsPerRowGroup: number;
    pageIndex: boolean;
    codec: 'UNCOMPRESSED' | 'SNAPPY';
  },
): Promise<number> {
  const rows = Math.min(...keys.map((key) => key.values.length));
  const cells = keys.map((key) => arranged(key).slice(0, rows));
  const folder = mkdtempSync(join(tmpdir(), 'pointlake-property-'));
  const columns = keys.map((key, i) => sourceOf(`k${i}`, key, cells[i] ?? []));
  columns.push({ name: 'row', data: Array.from({ length: rows }, (_, row) => row), type: 'INT32', nullable: false });
  const path = writeParquet(join(folder, 't.parquet'), columns, settings);
  let checked = 0;
  try {
    for (const cacheMemoryBytes of [64 * 2 ** 20, 1]) {
      const node = createNode({
        s3: {},
        cacheMemoryBytes,
        tables: [
          tableDefinition(
            't',
            path,
            keys.map((_, i) => `k${i}`),
          ),
        ],
      });
      const snapshot = await node.catalog.get('t').refresh();
      const projection = snapshot.projection(['row']);
      const present = Array.from({ length: rows }, (_, row) => cells.map((column) => column[row] ?? null));
      const asked = [...present.filter((key) => !key.includes(null)), ...absent] as Exclude<Cell, null>[][];
      for (const parts of asked) {
        const key = parts.map((part, i) => (KINDS[keys[i]?.kind ?? ''] as KeyKind).toKey(part));
        const matches = present.flatMap((candidate, row) =>
          candidate.every((part, i) => part === parts[i]) ? [row] : [],
        );
        const expected = matches.length === 0 ? null : `{"row":${matches[0]}}`;
        assert.equal((await node.engine.row(snapshot, key, projection, noDeadline)).json, expected);
        const hot = node.engine.tryRow(snapshot, key, projection);
        const kept = node.engine.tryRow(snapshot, key, projection);
        assert.equal(kept, hot, 'an encoded row that was kept is the row');
        if (cacheMemoryBytes > 1) assert.equal(hot, expected, 'what was read stays in memory');
        else assert.ok(hot === undefined || hot === expected);
        const all = await node.engine.lookup(snapshot, [key], projection, { matches: 'all', limit: 5 }, noDeadline);
        const rowsOfKey = matches.slice(0, 5).map((row) => `{"row":${row}}`);
        assert.deepEqual(all.items, [
          matches.length === 0
            ? { status: 'not_found' }
            : { status: 'found', rows: rowsOfKey, truncated: matches.length > 5 },
        ]);
        checked += 1;
      }
      await node.close();
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  return checked;
}

test('one key column', async (context) => {
  let checked = 0;
  await asyncProperty(
    fc.tuple(column, layout),
    async ([key, settings]) => {
      checked += await check(
        [key],
        key.absent.map((value) => [value]),
        settings,
      );
    },
    sampled(25, 60),
  );
  context.diagnostic(`${checked} keys looked up`);
  assert.ok(checked > 1000);
});

test('composite keys of two and three columns', async (context) => {
  let checked = 0;
  await asyncProperty(
    fc.tuple(fc.array(column, { minLength: 2, maxLength: 3 }), layout),
    async ([keys, settings]) => {
      const absent = keys[0]?.absent.map((_, i) => keys.map((key) => key.absent[i % key.absent.length] ?? 0)) ?? [];
      checked += await check(keys, absent, settings);
    },
    sampled(15, 40),
  );
  context.diagnostic(`${checked} keys looked up`);
  // Few samples of random sizes: 428 to 1,122 in fifteen runs.
  assert.ok(checked > 100);
});
