/** Many keys at once: each is answered as it is alone, and no page is read twice for them. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { RowCache } from '../../src/cache/index.ts';
import { ServiceError } from '../../src/core/index.ts';
import { BatchTurns } from '../../src/shard/batch-turns.ts';
import { distinctKeys } from '../../src/shard/distinct-keys.ts';
import { LookupEngine, type LookupItem, MatchOrder, PageLoader } from '../../src/shard/index.ts';
import type { Key } from '../../src/table/index.ts';
import { IoTrace } from '../support/io-trace.ts';
import { noDeadline, nodeOf } from '../support/one-node.ts';
import { scratchFolder, writeParquet } from '../support/scratch.ts';

const ROWS = 20_000;
const FIRST = { matches: 'first', limit: 1 } as const;

interface Row {
  readonly id: number;
  readonly score: number;
  readonly text: string;
}

const rowOf = (i: number): Row => ({ id: 2 * i, score: Math.sin(i), text: `text ${i % 97} ${'x'.repeat(i % 50)}` });

/** Even ids, ascending, in pages of about a thousand rows. */
function table(context: TestContext, cacheMemoryBytes?: number) {
  const rows = Array.from({ length: ROWS }, (_, i) => rowOf(i));
  const path = writeParquet(join(scratchFolder(context), 't.parquet'), [
    { name: 'id', data: rows.map(({ id }) => BigInt(id)), type: 'INT64', encoding: 'PLAIN', nullable: false },
    { name: 'score', data: rows.map(({ score }) => score), type: 'DOUBLE', encoding: 'PLAIN' },
    { name: 'text', data: rows.map(({ text }) => text), type: 'STRING', encoding: 'PLAIN' },
  ]);
  const trace = new IoTrace();
  const node = nodeOf(context, [{ name: 't', source: path, key: ['id'] }], {
    wrapStores: trace.wrap,
    ...(cacheMemoryBytes !== undefined && { cacheMemoryBytes }),
  });
  return { node, trace };
}

/** A linear congruence, so that the seed replays it. */
function randomKeys(seed: number, count: number): readonly number[] {
  let state = seed;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state % (2 * ROWS + 100);
  });
}

function expected(id: number): LookupItem {
  if (id % 2 !== 0 || id >= 2 * ROWS) return { status: 'not_found' };
  return { status: 'found', row: JSON.stringify(rowOf(id / 2)) };
}

/** Where memory keeps nothing, the batch itself holds the pages until it is done, unless even that has no room. */
const MEMORY = [
  { name: 'much memory', bytes: undefined, inFlightBytes: 2 ** 28 },
  { name: 'no memory', bytes: 1, inFlightBytes: 2 ** 28 },
  { name: 'no room for pages either', bytes: 1, inFlightBytes: 1 },
] as const;

for (const { name, bytes, inFlightBytes } of MEMORY) {
  test(`${name}: a thousand keys are answered as the rows say, cold and again, each page read once`, async (context) => {
    const seed = 20;
    const { node, trace } = table(context, bytes);
    const loader = new PageLoader(node.pool, { inFlightBytesMax: inFlightBytes });
    const engine = new LookupEngine(loader, new RowCache(0));
    const snapshot = await node.catalog.get('t').refresh();
    const projection = snapshot.projection(undefined);
    const ids = [...randomKeys(seed, 990), 2, 2, 3, 3, 2 * ROWS, -1, 0, 0, 2 * ROWS - 2, 2];
    const keys: readonly (Key | ServiceError)[] = ids.map((id, i) =>
      i % 100 === 50 ? new ServiceError('invalid', 'bad_key', 'no key') : [BigInt(id)],
    );
    for (const round of ['cold', 'again']) {
      trace.clear();
      const answer = await engine.lookup(snapshot, keys, projection, FIRST, noDeadline);
      for (const [i, item] of answer.items.entries()) {
        if (i % 100 === 50) assert.equal(item.status, 'error');
        else assert.deepEqual(item, expected(ids[i] ?? 0), `${round}, key ${ids[i]}, seed ${seed}`);
      }
      const parts = trace.describe(snapshot).flatMap((line) => line.split(': ').slice(1).join(': ').split(' + '));
      if (inFlightBytes > 1) assert.equal(new Set(parts).size, parts.length, `no page twice: ${parts.join('; ')}`);
      if (round === 'again' && bytes === undefined) assert.deepEqual(parts, [], 'all of it is in memory');
      else assert.ok(parts.length > 100, `the trace saw what was read: ${parts.join('; ')}`);
    }
  });
}

test('a batch is what its keys are alone', async (context) => {
  const { node } = table(context);
  const snapshot = await node.catalog.get('t').refresh();
  const projection = snapshot.projection(['text', 'id']);
  const keys = randomKeys(7, 60).map((id): Key => [BigInt(id)]);
  const { items } = await node.engine.lookup(snapshot, keys, projection, FIRST, noDeadline);
  for (const [i, key] of keys.entries()) {
    const { json } = await node.engine.row(snapshot, key, projection, noDeadline);
    assert.deepEqual(items[i], json === null ? { status: 'not_found' } : { status: 'found', row: json });
  }
});

test('rows of a key in the order of columns, nulls lowest, equal ones in file order; leading parts of a key', async (context) => {
  const rows = Array.from({ length: 600 }, (_, i) => ({
    tenant: ['eu', 'us'][i % 2] ?? '',
    doc: Math.floor(i / 6) % 20,
    at: i % 7 === 0 ? null : (i * 7919) % 13,
    n: i,
  }));
  const path = writeParquet(
    join(scratchFolder(context), 'd.parquet'),
    [
      { name: 'tenant', data: rows.map(({ tenant }) => tenant), type: 'STRING', nullable: false },
      { name: 'doc', data: rows.map(({ doc }) => doc), type: 'INT32', nullable: false },
      { name: 'at', data: rows.map(({ at }) => at), type: 'INT32' },
      { name: 'n', data: rows.map(({ n }) => n), type: 'INT32', nullable: false },
    ],
    { rowsPerRowGroup: 250 },
  );
  const node = nodeOf(context, [{ name: 'd', source: path, key: ['tenant', 'doc'] }]);
  const snapshot = await node.catalog.get('d').refresh();
  const projection = snapshot.projection(['n']);
  const value = (at: number | null) => at ?? Number.NEGATIVE_INFINITY;
  const limit = 40;
  for (const parts of [['eu'], ['eu', 3], ['us', 19], ['none'], ['us', 77]] as const) {
    const matching = rows.filter(({ tenant, doc }) => tenant === parts[0] && (parts[1] ?? doc) === doc);
    const key: Key = parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part));
    for (const sign of [1, -1, 0]) {
      const order = sign === 0 ? undefined : new MatchOrder(snapshot, [{ column: 'at', isDescending: sign < 0 }]);
      const sorted = [...matching].sort((a, b) => sign * (value(a.at) - value(b.at) || 0));
      const options = { matches: 'all', limit, order } as const;
      for (const state of ['cold', 'hot']) {
        const { items } = await node.engine.lookup(snapshot, [key], projection, options, noDeadline);
        const wanted: LookupItem =
          matching.length === 0
            ? { status: 'not_found' }
            : {
                status: 'found',
                rows: sorted.slice(0, limit).map(({ n }) => JSON.stringify({ n })),
                truncated: matching.length > limit,
              };
        assert.deepEqual(items[0], wanted, `${state}, key ${parts}, sign ${sign}`);
      }
    }
  }
});

test('keys that are asked twice are read once, in ascending order', () => {
  const error = new ServiceError('invalid', 'bad_key', 'no key');
  const keys = [[3n], [1n], error, [3n], [-5n], [1n]];
  assert.deepEqual(distinctKeys(keys, [0, 1, 2, 3, 5]), [
    { key: [1n], at: [1, 5] },
    { key: [3n], at: [0, 3] },
  ]);
  const mixed: Key[] = [[Number.NaN, 'b'].map((part) => (typeof part === 'string' ? Buffer.from(part) : part))];
  assert.equal(distinctKeys([...mixed, ...mixed], [0, 1]).length, 1);
  assert.equal(distinctKeys([[0], [-0]], [0, 1]).length, 1);
});

test('who comes when a turn is used up waits for the next one, in the order of coming', async () => {
  const turns = new BatchTurns();
  assert.equal(turns.next(), undefined);
  turns.spent(performance.now() - 5);
  const order: string[] = [];
  const waits = ['first', 'second'].map(async (name) => {
    await turns.next();
    order.push(name);
    turns.spent(performance.now());
  });
  assert.deepEqual(order, [], 'nobody goes on in the turn that is used up');
  await Promise.all(waits);
  assert.deepEqual(order, ['first', 'second']);
});
