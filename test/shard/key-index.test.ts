/**
 * Lookups by a key index against lookups without one, in the same test: the same rows for every key, present and absent,
 * single and composite, repeated and null, over files that join and leave while runs are built and merged.
 */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ColumnSource } from 'hyparquet-writer';
import { KeyHash } from '../../src/keyindex/index.ts';
import type { PointlakeNode } from '../../src/main.ts';
import { KeyIndexer } from '../../src/shard/index.ts';
import { type Key, KeyIndex, type Snapshot } from '../../src/table/index.ts';
import { FUZZ_SEED, randomFrom } from '../parquet/support/property.ts';
import { noDeadline, nodeOf } from '../support/one-node.ts';
import { scratchFolder, writeParquet } from '../support/scratch.ts';

const onRun = () => undefined;

interface KeyKind {
  readonly type: ColumnSource['type'];
  readonly value: (random: () => number) => number | bigint | string;
  readonly toKey: (value: number | bigint | string) => Key[number];
}

const KINDS: Readonly<Record<string, KeyKind>> = {
  int32: {
    type: 'INT32',
    value: (random) => Math.floor(random() * 4000) - 2000,
    toKey: (value) => value as number,
  },
  int64: {
    type: 'INT64',
    // As numbers hold them, negative ones and beyond 32 bits too, and as only bigints do.
    value: (random) => {
      const few = BigInt(Math.floor(random() * 4000) - 2000);
      return few * ([1n, 2n ** 31n + 1n, 2n ** 51n][Math.floor(random() * 3)] ?? 1n);
    },
    toKey: (value) => value as bigint,
  },
  double: {
    type: 'DOUBLE',
    value: (random) => Math.floor(random() * 1000) / 8 - 60,
    toKey: (value) => value as number,
  },
  string: {
    type: 'STRING',
    value: (random) => `user-${'é𝄞/'.slice(0, Math.floor(random() * 4))}${Math.floor(random() * 1000)}`.toWellFormed(),
    toKey: (value) => Buffer.from(value as string),
  },
};

interface FileOfTest {
  readonly path: string;
  readonly keys: readonly (readonly (number | bigint | string | null)[])[];
}

function writeFile(folder: string, ordinal: number, kinds: readonly string[], rows: number, random: () => number) {
  const keys = kinds.map((kind) =>
    Array.from({ length: rows }, () => (random() < 0.05 ? null : (KINDS[kind] as KeyKind).value(random))),
  );
  const columns: ColumnSource[] = keys.map((data, i) => {
    const { type } = KINDS[kinds[i] ?? ''] as KeyKind;
    return {
      name: `k${i}`,
      data,
      nullable: true,
      ...(type === undefined ? {} : { type }),
      ...(random() < 0.5 ? { encoding: 'PLAIN' as const } : {}),
    };
  });
  const data = Array.from({ length: rows }, (_, row) => ordinal * 1_000_000 + row);
  columns.push({ name: 'place', data, type: 'INT32', nullable: false });
  const path = writeParquet(join(folder, `${String(ordinal).padStart(4, '0')}.parquet`), columns, {
    pageBytes: random() < 0.5 ? 256 : 8192,
    rowsPerRowGroup: 50 + Math.floor(random() * 400),
    pageIndex: random() < 0.5,
  });
  return { path, keys };
}

/** Every row of each key, with the index and without. */
async function compare(
  node: PointlakeNode,
  snapshot: Snapshot,
  index: KeyIndex,
  keys: readonly Key[],
): Promise<number> {
  const projection = snapshot.projection(['place']);
  const options = { matches: 'all', limit: 50 } as const;
  const answers: unknown[][] = [];
  for (const view of [undefined, index.view(snapshot.files)]) {
    snapshot.primaryKey.index = view;
    const { items } = await node.engine.lookup(snapshot, keys, projection, options, noDeadline);
    answers.push([...items]);
  }
  assert.deepEqual(answers[1], answers[0]);
  return answers[0]?.filter((item) => (item as { status: string }).status === 'found').length ?? 0;
}

function keysOf(files: readonly FileOfTest[], kinds: readonly string[], random: () => number): readonly Key[] {
  const keys: Key[] = [];
  for (let n = 0; n < 300; n++) {
    const file = files[Math.floor(random() * files.length)];
    const row = Math.floor(random() * (file?.keys[0]?.length ?? 0));
    const parts = kinds.map((kind, i) => {
      const cell = n % 3 === 0 ? null : (file?.keys[i]?.[row] ?? null);
      return (KINDS[kind] as KeyKind).toKey(cell ?? (KINDS[kind] as KeyKind).value(random));
    });
    keys.push(parts);
  }
  return keys;
}

async function checkTable(context: TestContext, kinds: readonly string[], random: () => number): Promise<number> {
  const folder = scratchFolder(context);
  const files = [0, 1, 2].map((ordinal) => writeFile(folder, ordinal, kinds, 400 + Math.floor(random() * 500), random));
  const key = kinds.map((_, i) => `k${i}`);
  const node = nodeOf(context, [{ name: 't', source: `${folder}/`, key }]);
  // So few keys a run that there are several, and more than may stay unmerged.
  const indexer = new KeyIndexer(node.pool, { keysAtOnce: 300, unitBytes: 512 });
  const index = new KeyIndex();
  const table = node.catalog.get('t');
  let found = 0;
  for (let round = 0; round < 3; round++) {
    const snapshot = await table.refresh();
    const keys = keysOf(files, kinds, random);
    if (round > 0) found += await compare(node, snapshot, index, keys);
    await indexer.index(index, snapshot, { onRun }, noDeadline);
    assert.ok(index.runs.length <= 4, `${index.runs.length} runs`);
    assert.equal(index.view(snapshot.files).openFiles.length, 0);
    found += await compare(node, snapshot, index, keys);
    files.push(writeFile(folder, 3 + round, kinds, 300, random));
  }
  return found;
}

for (const kinds of [
  ['int32'],
  ['int64'],
  ['double'],
  ['string'],
  ['string', 'int64'],
  ['int32', 'double', 'string'],
]) {
  test(`by ${kinds.join(', ')}: the index gives the rows that the search gives`, async (context) => {
    const random = randomFrom(FUZZ_SEED);
    const found = await checkTable(context, kinds, random);
    context.diagnostic(`seed ${FUZZ_SEED}: ${found} keys found`);
    assert.ok(found > 200, `${found} found`);
  });
}

/** Keys are hashed in this thread where they are few, as here: to so few fingerprints that most keys share theirs. */
function weakenHash(context: TestContext, fingerprints: number): void {
  const { finish } = KeyHash.prototype;
  context.mock.method(KeyHash.prototype, 'finish', function weakened(this: KeyHash) {
    finish.call(this);
    const kept = this.high % fingerprints;
    this.high = kept * 0x1234567;
    this.low = kept;
  });
}

for (const kinds of [['int32'], ['string', 'int64']]) {
  for (const fingerprints of [1, 20]) {
    test(`by ${kinds.join(', ')}, hashed to ${fingerprints} fingerprints: what collides is told apart by its row`, async (context) => {
      weakenHash(context, fingerprints);
      const random = randomFrom(FUZZ_SEED);
      const found = await checkTable(context, kinds, random);
      context.diagnostic(`seed ${FUZZ_SEED}: ${found} keys found`);
      assert.ok(found > 200, `${found} found`);
    });
  }
}

test('keys that share a fingerprint are no rows of one another, present or absent, by every door', async (context) => {
  weakenHash(context, 3);
  const folder = scratchFolder(context);
  const rows = 1500;
  const columns: ColumnSource[] = [
    {
      name: 'k',
      data: Array.from({ length: rows }, (_, i) => ((i * 7919) % rows) * 2),
      type: 'INT32',
      nullable: false,
    },
    { name: 'n', data: Array.from({ length: rows }, (_, i) => i), type: 'INT32', nullable: false },
  ];
  writeParquet(join(folder, 'a.parquet'), columns, { pageBytes: 256, rowsPerRowGroup: 200 });
  for (const duplicates of [{ kind: 'first' }, { kind: 'latest', by: ['n'] }, { kind: 'error' }] as const) {
    const node = nodeOf(context, [
      { name: 't', source: `${folder}/`, key: ['k'], options: { index: 'hash', duplicates } },
    ]);
    const snapshot = await node.catalog.get('t').refresh();
    for (const indexing of node.indexings(node.catalog.get('t'))) await indexing.idle();
    const named = snapshot.primaryKey.index?.find([0]);
    assert.ok(typeof named === 'object' && (named.rowsIn(0)?.length ?? 0) > 300, 'most rows collide');
    const projection = snapshot.projection(['n']);
    const keys = Array.from({ length: 300 }, (_, i): Key => [i * 7]);
    const expected = keys.map(([key]) => {
      const n = columns[0]?.data.indexOf(key as never) ?? -1;
      return n < 0 ? null : `{"n":${n}}`;
    });
    for (const [i, key] of keys.entries()) {
      const { json } = await node.engine.row(snapshot, key, projection, noDeadline);
      assert.equal(json, expected[i], `key ${key[0]}, ${duplicates.kind}`);
    }
    const batch = await node.engine.lookup(snapshot, keys, projection, { matches: 'first', limit: 1 }, noDeadline);
    const answered = batch.items.map((item) => (item.status === 'found' && 'row' in item ? item.row : null));
    assert.deepEqual(answered, expected, duplicates.kind);
    assert.ok(batch.items.every(({ status }) => status === 'found' || status === 'not_found'));
  }
});

for (const kinds of [['int64'], ['string', 'int64']]) {
  test(`by ${kinds.join(', ')}: what was cut off, or lost a run, goes on with the missing rows`, async (context) => {
    const random = randomFrom(FUZZ_SEED);
    const folder = scratchFolder(context);
    const files = [0, 1].map((ordinal) => writeFile(folder, ordinal, kinds, 3000, random));
    const node = nodeOf(context, [{ name: 't', source: `${folder}/`, key: kinds.map((_, i) => `k${i}`) }]);
    const snapshot = await node.catalog.get('t').refresh();
    const indexer = new KeyIndexer(node.pool, { keysAtOnce: 300, unitBytes: 512 });
    const index = new KeyIndex();
    const rowsIndexed = () => index.runs.flatMap((run) => run.files).reduce((sum, { rows }) => sum + rows, 0);
    for (let round = 0; round < 6; round++) {
      const closing = new AbortController();
      let runs = 0;
      const cut = 1 + Math.floor(random() * 6);
      const watch = {
        onRun: () => {
          runs += 1;
          if (runs === cut) closing.abort(new Error('cut off'));
        },
      };
      await indexer.index(index, snapshot, watch, closing.signal).catch(() => undefined);
      const { openRows } = index.view(snapshot.files);
      assert.equal(rowsIndexed() + openRows, snapshot.rows, 'no row is in two runs');
      await compare(node, snapshot, index, keysOf(files, kinds, random));
      const lost = index.runs[Math.floor(random() * index.runs.length)];
      if (lost !== undefined && round % 2 === 1) index.remove([lost]);
    }
    await indexer.index(index, snapshot, { onRun }, noDeadline);
    assert.deepEqual([rowsIndexed(), index.view(snapshot.files).openFiles.length], [snapshot.rows, 0]);
    assert.ok((await compare(node, snapshot, index, keysOf(files, kinds, random))) > 50);
  });
}

test('a key in an indexed file is found by its row alone: no other key page is read', async (context) => {
  const folder = scratchFolder(context);
  const random = randomFrom(FUZZ_SEED);
  writeFile(folder, 0, ['int64'], 5000, random);
  const node = nodeOf(context, [{ name: 't', source: `${folder}/`, key: ['k0'] }]);
  const snapshot = await node.catalog.get('t').refresh();
  const index = new KeyIndex();
  await new KeyIndexer(node.pool).index(index, snapshot, { onRun }, noDeadline);
  snapshot.primaryKey.index = index.view(snapshot.files);
  const before = node.tier.stats.admitted;
  const absent = await node.engine.row(snapshot, [12345n], snapshot.projection(['place']), noDeadline);
  assert.equal(absent.json, null);
  assert.equal(node.tier.stats.admitted, before, 'an absent key costs no page');
});
