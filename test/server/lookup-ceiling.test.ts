/** Lookups that would cost too much, over HTTP: refused for good, or until the index is there. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ObjectStore, StoreProvider } from '../../src/storage/index.ts';
import type { TableDefinition } from '../../src/table/index.ts';
import { nodeOf } from '../support/one-node.ts';
import { scratchFolder, writeParquet } from '../support/scratch.ts';
import { serve } from '../support/served.ts';
import { expectProblem, post, problemOf } from './fixture.ts';

const GROUPS = 200;
const ROWS_PER_GROUP = 20;

/** Even keys from everywhere in each row group, and the same numbers in order. */
function writeTable(folder: string): string {
  const ordinals = Array.from({ length: GROUPS * ROWS_PER_GROUP }, (_, i) => i);
  const keys = ordinals.map((i) => 2 * ((i % ROWS_PER_GROUP) * GROUPS + Math.floor(i / ROWS_PER_GROUP)));
  return writeParquet(
    join(folder, 't.parquet'),
    [
      { name: 'k', data: keys, type: 'INT32', encoding: 'PLAIN', nullable: false },
      { name: 'line', data: ordinals, type: 'INT32', encoding: 'PLAIN', nullable: false },
    ],
    { rowsPerRowGroup: ROWS_PER_GROUP, pageBytes: 40 },
  );
}

/** Storage that answers nothing for as long as it is held. */
class HeldStorage {
  gets = 0;
  #isOpen = Promise.withResolvers<void>();

  constructor() {
    this.#isOpen.resolve();
  }

  hold(): void {
    this.#isOpen = Promise.withResolvers();
  }

  letGo(): void {
    this.#isOpen.resolve();
  }

  wrap = (stores: StoreProvider): StoreProvider => ({ storeFor: (source) => this.#held(stores.storeFor(source)) });

  #held(inner: ObjectStore): ObjectStore {
    return {
      kind: inner.kind,
      cheapReads: inner.cheapReads,
      head: (key, options) => inner.head(key, options),
      list: (prefix, options) => inner.list(prefix, options),
      close: () => inner.close(),
      getRange: async (object, range, options) => {
        this.gets += 1;
        await this.#isOpen.promise;
        return inner.getRange(object, range, options);
      },
    };
  }
}

async function open(context: TestContext, index: TableDefinition['index']) {
  const storage = new HeldStorage();
  const source = writeTable(scratchFolder(context));
  const keys = [
    { name: 'other', columns: ['k'], index },
    { name: 'line', columns: ['line'], index: 'none' as const },
  ];
  const node = nodeOf(context, [{ name: 't', source, key: ['k'], options: { index, keys } }], {
    wrapStores: storage.wrap,
    lookupBounds: { getsMax: 64, bytesMax: 64 * 2 ** 20 },
  });
  const table = node.catalog.get('t');
  const refreshed = table.refresh();
  await refreshed.then(() => storage.hold());
  const server = await serve(node);
  context.after(() => server.close());
  context.after(() => storage.letGo());
  return { node, table, storage, url: `${server.url}/v1/tables/t` };
}

test('without an index a lookup that may read too much is refused with its estimate, and reads nothing', async (context) => {
  const { storage, url } = await open(context, 'none');
  const before = storage.gets;
  for (const path of ['rows/4000', 'values/line/4000', 'by/other/4000', 'rows/4001']) {
    const problem = await expectProblem(`${url}/${path}`, 422, 'plan_too_expensive');
    assert.ok(Number(problem.gets) >= GROUPS && Number(problem.bytes) > 0);
    assert.deepEqual([problem.table, problem.gets_max, problem.bytes_max], ['t', 64, 64 * 2 ** 20]);
    assert.match(String(problem.detail), /index: auto/);
  }
  const answer = await post(`${url}/lookup`, '{"keys":[4000,-2,4001]}');
  assert.equal(answer.status, 200);
  const { results } = (await answer.json()) as { results: { status: string; error?: { code: string } }[] };
  assert.deepEqual(
    results.map(({ status, error }) => [status, error?.code]),
    [
      ['error', 'plan_too_expensive'],
      ['not_found', undefined],
      ['error', 'plan_too_expensive'],
    ],
  );
  assert.equal(storage.gets, before, 'nothing was fetched');

  const explained = await fetch(`${url}/rows/4000`, { headers: { 'pointlake-explain': '1' } });
  assert.equal(explained.status, 422);
  const receipt = JSON.parse(explained.headers.get('pointlake-receipt') ?? '{}') as Record<string, object>;
  assert.equal((receipt.storage as { requests: number }).requests, 0);

  // A key that the files are clustered by is found all the same.
  storage.letGo();
  const found = await fetch(`${url}/by/line/1234`, { headers: { 'pointlake-explain': '1' } });
  assert.equal(found.status, 200);
  const { estimate } = JSON.parse(found.headers.get('pointlake-receipt') ?? '{}') as {
    estimate: { gets: number; bytes: number };
  };
  assert.equal(estimate.gets, 1);
});

test('while the index is built such a lookup is to come back, and then is answered', async (context) => {
  const { node, table, storage, url } = await open(context, 'hash');
  const indexings = node.indexings(table);
  assert.equal(indexings[0]?.status.state, 'building');
  for (const path of ['rows/4000', 'values/line/4000', 'by/other/4000']) {
    const answer = await fetch(`${url}/${path}`);
    const problem = await problemOf(answer);
    assert.deepEqual([answer.status, problem.code], [503, 'indexing']);
    assert.ok(Number(answer.headers.get('retry-after')) >= 1);
    assert.equal(problem.rows, GROUPS * ROWS_PER_GROUP);
    assert.ok(Number(problem.rows_done) < Number(problem.rows));
    assert.ok(Number(problem.gets) >= GROUPS);
  }
  const batch = (await (await post(`${url}/lookup`, '{"keys":[4000]}')).json()) as {
    results: { status: string; error: { code: string; rows: number } }[];
  };
  assert.deepEqual(
    [batch.results[0]?.status, batch.results[0]?.error.code, batch.results[0]?.error.rows],
    ['error', 'indexing', GROUPS * ROWS_PER_GROUP],
  );

  storage.letGo();
  for (const indexing of indexings) await indexing.idle();
  for (const path of ['rows/4000', 'by/other/4000']) {
    const answer = await fetch(`${url}/${path}`);
    assert.equal(answer.status, 200);
    assert.deepEqual(await answer.json(), {
      k: 4000,
      line: (2000 % GROUPS) * ROWS_PER_GROUP + Math.floor(2000 / GROUPS),
    });
  }
  assert.equal((await fetch(`${url}/rows/4001`)).status, 404);
});
