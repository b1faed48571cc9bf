/** Queries whose storage, files, clients or time fail them midway: what was sent is of one snapshot, and shows that it is cut. */

import assert from 'node:assert/strict';
import { request } from 'node:http';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { tableFromIPC } from 'apache-arrow';
import type { ServerOptions } from '../../src/server/index.ts';
import { QueryEngine, QueryTrace } from '../../src/shard/index.ts';
import { BrokenStorage } from '../support/broken-storage.ts';
import { FaultyS3 } from '../support/faulty-s3.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { noDeadline, nodeOf } from '../support/one-node.ts';
import { parquetBytes } from '../support/scratch.ts';
import { serve } from '../support/served.ts';

/** Of each file: too large to be read whole. */
const ROWS = 5000;
const DEADLINE_MS = 600_000;
const LINES = 'application/x-ndjson';
const ARROW = 'application/vnd.apache.arrow.stream';
const FIRST = 't/a.parquet';
const SECOND = 't/b.parquet';

const textOf = (version: number, id: number) => `version ${version} of ${id} ${'.'.repeat(60)}`;

function bytesOf(version: number, from: number): Buffer {
  const ids = Array.from({ length: ROWS }, (_, i) => from + i);
  return parquetBytes(
    [
      { name: 'id', data: ids, type: 'INT32', encoding: 'PLAIN', nullable: false },
      { name: 'version', data: ids.map(() => version), type: 'INT32', encoding: 'PLAIN', nullable: false },
      { name: 'text', data: ids.map((id) => textOf(version, id)), type: 'STRING', encoding: 'PLAIN' },
    ],
    { pageBytes: 2048, codec: 'UNCOMPRESSED' },
  );
}

interface Row {
  readonly id: number;
  readonly version: number;
  readonly text: string;
}

/** What stands in a line, or in a whole answer. */
interface Answer {
  readonly rows: readonly Row[];
  readonly error?: { readonly code: string; readonly file?: string };
}

const rowOf = (version: number, id: number): Row => ({ id, version, text: textOf(version, id) });
const rowsOf = (version: number, from: number) => Array.from({ length: ROWS }, (_, i) => rowOf(version, from + i));

function linesOf(text: string): Answer {
  const lines = text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  const last = lines.at(-1);
  return last.error === undefined ? { rows: lines } : { rows: lines.slice(0, -1), error: last.error };
}

async function start(context: TestContext, options: Partial<ServerOptions> = {}) {
  const s3 = await FaultyS3.start();
  context.after(() => s3.stop());
  s3.put('lake', FIRST, bytesOf(1, 0));
  s3.put('lake', SECOND, bytesOf(1, ROWS));
  const wide = 'wide '.repeat(6000);
  const ids = Array.from({ length: ROWS }, (_, id) => id);
  const columns = [
    { name: 'id', data: ids, type: 'INT32', encoding: 'PLAIN', nullable: false },
    { name: 'text', data: ids.map(() => wide), type: 'STRING' },
  ] as const;
  s3.put('lake', 'wide/a.parquet', parquetBytes(columns));
  const storage = new BrokenStorage();
  const tables = ['t', 'wide'].map((name) => ({ name, source: `s3://lake/${name}/`, key: ['id'] }));
  const settings = { endpoint: s3.endpoint, credentials: { accessKeyId: 'a', secretAccessKey: 'b' } };
  const node = nodeOf(context, tables, { s3: settings, wrapStores: storage.wrap });
  const [table, wideTable] = [node.catalog.get('t'), node.catalog.get('wide')];
  await Promise.all([table.refresh(), wideTable.refresh()]);
  const clock = new ManualClock();
  const server = await serve(node, { deadlineMs: DEADLINE_MS, ...options }, clock);
  context.after(() => server.close());
  const ask = (body: object, accept = 'application/json', signal?: AbortSignal) =>
    fetch(`${server.url}/v1/tables/t/query`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept },
      body: JSON.stringify({ limit: 100_000, ...body }),
      ...(signal && { signal }),
    });
  s3.reset();
  /** Holds the reads of the second file back; `asked` is true when one came. */
  const hold = () => {
    const gate = Promise.withResolvers<void>();
    s3.reset();
    s3.faultOf = ({ op, key }) => (op === 'get' && key === SECOND ? { kind: 'until', done: gate.promise } : undefined);
    context.after(() => gate.resolve());
    return { asked: () => s3.requests.some(({ op, key }) => op === 'get' && key === SECOND), release: gate.resolve };
  };
  return { s3, storage, node, table, clock, server, ask, hold };
}

async function until(condition: () => boolean): Promise<void> {
  const started = performance.now();
  while (!condition()) {
    if (performance.now() - started > 20_000) throw new Error(`never came true: ${condition}`);
    await sleep(1);
  }
}

async function codeOf(answer: Response): Promise<readonly [number, string]> {
  return [answer.status, ((await answer.json()) as { code: string }).code];
}

test('a deadline that passes midway: 504, a last line that says so, an Arrow stream that is cut', async (context) => {
  const { ask, hold, clock } = await start(context);
  for (const accept of ['application/json', LINES, ARROW]) {
    const { asked, release } = hold();
    const asking = ask({}, accept);
    await until(asked);
    clock.advance(DEADLINE_MS);
    const answer = await asking;
    if (accept === 'application/json') assert.deepEqual(await codeOf(answer), [504, 'timeout']);
    else if (accept === ARROW) await assert.rejects(answer.arrayBuffer());
    else {
      const { rows, error } = linesOf(await answer.text());
      assert.deepEqual(rows, rowsOf(1, 0));
      assert.equal(error?.code, 'timeout');
    }
    release();
  }
  const whole = linesOf(await (await ask({}, LINES)).text());
  assert.deepEqual([whole.rows.length, whole.error], [2 * ROWS, undefined]);
});

test('an object replaced during a query: JSON begins anew, a stream ends with an error, neither mixes versions', async (context) => {
  for (const accept of ['application/json', LINES, ARROW]) {
    const { ask, hold, s3 } = await start(context);
    const { asked, release } = hold();
    const asking = ask({ where: { column: 'id', op: '>=', value: 0 } }, accept);
    await until(asked);
    s3.put('lake', SECOND, bytesOf(2, ROWS));
    s3.faultOf = () => undefined;
    release();
    const answer = await asking;
    const both = [...rowsOf(1, 0), ...rowsOf(2, ROWS)];
    if (accept === 'application/json') assert.deepEqual(((await answer.json()) as Answer).rows, both);
    else if (accept === ARROW) await assert.rejects(answer.arrayBuffer());
    else {
      const { rows, error } = linesOf(await answer.text());
      assert.deepEqual(rows, rowsOf(1, 0));
      assert.equal(error?.code, 'changed');
    }
    // The stream that found the change had the table listed, as a request does that begins anew.
    await until(() => s3.requests.some(({ op }) => op === 'list'));
    const again = (await (await ask({})).json()) as Answer;
    assert.deepEqual(again.rows, both);
  }
});

test('a cursor goes on in its snapshot while that can be read, and is gone when it cannot', async (context) => {
  const { ask, s3, table } = await start(context);
  const first = await ask({ limit: 10 });
  const inFirst = (await first.json()) as { cursor: string };
  const where = { column: 'id', op: '>=', value: ROWS };
  const inSecond = (await (await ask({ where, limit: 10, columns: ['id'] })).json()) as { cursor: string };
  s3.put('lake', SECOND, bytesOf(2, ROWS));
  await table.refresh();
  const next = await ask({ limit: 10, cursor: inFirst.cursor });
  assert.equal(next.headers.get('pointlake-snapshot'), first.headers.get('pointlake-snapshot'));
  assert.deepEqual(((await next.json()) as Answer).rows, rowsOf(1, 0).slice(10, 20));
  for (const accept of ['application/json', LINES, ARROW]) {
    assert.deepEqual(await codeOf(await ask({ where, cursor: inSecond.cursor }, accept)), [410, 'snapshot_gone']);
  }
});

test('a damaged file among good ones fails the queries that reach it, with its name, and no others', async (context) => {
  const { ask, s3, table } = await start(context);
  s3.put('lake', SECOND, bytesOf(1, ROWS).fill(0xff, 4, 200_000));
  await table.refresh();
  const answer = await ask({});
  assert.equal(answer.status, 502);
  const problem = (await answer.json()) as { code: string; file: string };
  assert.deepEqual([problem.code, problem.file], ['corrupt', SECOND]);
  const { rows, error } = linesOf(await (await ask({}, LINES)).text());
  assert.deepEqual(rows, rowsOf(1, 0));
  assert.deepEqual([error?.code, error?.file], ['corrupt', SECOND]);
  await assert.rejects(async () => (await ask({}, ARROW)).arrayBuffer());
  const good = { column: 'id', op: '<', value: ROWS };
  assert.deepEqual(((await (await ask({ where: good })).json()) as Answer).rows, rowsOf(1, 0));
  s3.put('lake', 't/c.parquet', 'no Parquet file, but long enough to hold a footer');
  await table.refresh();
  for (const accept of ['application/json', LINES, ARROW]) {
    assert.deepEqual(await codeOf(await ask({ where: good }, accept)), [503, 'not_covered']);
  }
});

test('storage that is down fails what it is asked for, and what is in memory answers on', async (context) => {
  const { ask, storage } = await start(context);
  const where = { column: 'id', op: '<', value: 100 };
  assert.equal((await ask({ where })).status, 200);
  storage.isDown = true;
  assert.deepEqual(((await (await ask({ where })).json()) as Answer).rows, rowsOf(1, 0).slice(0, 100));
  const cold = { column: 'id', op: '>=', value: ROWS };
  for (const accept of ['application/json', LINES, ARROW]) {
    assert.deepEqual(await codeOf(await ask({ where: cold }, accept)), [503, 'unavailable']);
  }
  storage.isDown = false;
  assert.deepEqual(((await (await ask({ where: cold })).json()) as Answer).rows, rowsOf(1, ROWS));
});

test('a client that leaves gives its place to the next', async (context) => {
  const { ask, hold } = await start(context, { queriesMax: 1 });
  const { asked } = hold();
  for (const accept of ['application/json', LINES, ARROW]) {
    const leaving = new AbortController();
    const gone = assert.rejects(async () => (await ask({}, accept, leaving.signal)).arrayBuffer());
    await until(asked);
    leaving.abort();
    await gone;
    const next = await ask({ where: { column: 'id', op: '<', value: 5 } });
    assert.deepEqual(((await next.json()) as Answer).rows, rowsOf(1, 0).slice(0, 5));
  }
});

test('a client that stops reading is cut off, and its place is free', async (context) => {
  const { ask, server, clock } = await start(context, { queriesMax: 1, stallMs: 1000 });
  for (const accept of [LINES, ARROW]) {
    const headers = { 'content-type': 'application/json', accept };
    const sent = request(`${server.url}/v1/tables/wide/query`, { method: 'POST', headers });
    sent.on('error', () => undefined);
    const answered = new Promise<void>((resolve) => sent.once('response', (answer) => resolve(void answer.pause())));
    sent.end('{"limit":1000000}');
    await answered;
    let isNextDone = false;
    const next = ask({ limit: 1 }).finally(() => {
      isNextDone = true;
    });
    const ticks = DEADLINE_MS / 1000 / 2;
    for (let tick = 0; tick < ticks && !isNextDone; tick++) {
      await sleep(20);
      clock.advance(1000);
    }
    assert.ok(isNextDone, 'long before the deadline');
    assert.equal((await next).status, 200);
    sent.destroy();
  }
});

test('explain tells of the last run alone, where an object changed during the first', async (context) => {
  const { s3, ask } = await start(context);
  const explained = async () => {
    const answer = (await (await ask({ explain: true })).json()) as Answer & {
      explain: { restarted?: boolean; files: object; rows: { matched: number }; estimate: object };
    };
    return answer;
  };
  // Replaced before it was read: the first run finds out in the middle, after the first file.
  s3.put('lake', SECOND, bytesOf(2, ROWS));
  const second = await explained();
  assert.equal(second.rows.length, 2 * ROWS);
  assert.equal(second.explain.restarted, true);
  const plain = await explained();
  assert.equal(plain.explain.restarted, undefined);
  assert.deepEqual(second.explain.files, plain.explain.files);
  assert.deepEqual(second.explain.rows, plain.explain.rows);
});

test('no more rows are made than their taker has room for', async (context) => {
  const { node } = await start(context);
  const snapshot = node.catalog.get('wide').current();
  const query = { where: undefined, columns: snapshot.columns, limit: ROWS, order: [], after: undefined };
  let held = 0;
  let heldMax = 0;
  let rows = 0;
  const sink = {
    take: () => {
      held += 1;
      rows += 1;
      return true;
    },
    hold: () => assert.fail('rows without an order are taken as they are read'),
    get isFull() {
      return held >= 7;
    },
  };
  for await (const { row } of new QueryEngine(node.loader).run(snapshot, query, sink, noDeadline, new QueryTrace())) {
    heldMax = Math.max(heldMax, held);
    held = 0;
    assert.equal(row, rows - 1, 'where it is, to go on from');
  }
  assert.deepEqual([rows, heldMax], [ROWS, 7]);
});

test('strings are of their own rows when the memory they were decoded in holds others', async (context) => {
  const s3 = await FaultyS3.start();
  context.after(() => s3.stop());
  for (let file = 0; file < 4; file++) s3.put('lake', `s/${file}.parquet`, stringKeys(file));
  const settings = { endpoint: s3.endpoint, credentials: { accessKeyId: 'a', secretAccessKey: 'b' } };
  const tables = [{ name: 's', source: 's3://lake/s/', key: ['key'] }];
  const node = nodeOf(context, tables, { s3: settings, cacheMemoryBytes: 2 ** 18 });
  await node.catalog.get('s').refresh();
  const server = await serve(node);
  context.after(() => server.close());
  const ask = (body: object, accept: string) =>
    fetch(`${server.url}/v1/tables/s/query`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept },
      body: JSON.stringify({ columns: ['key', 'text'], limit: 100_000, ...body }),
    });
  const expected = Array.from({ length: 4 * KEYS }, (_, id) => stringKey(id)).sort();
  for (let round = 0; round < 2; round++) {
    // Hot at first, and pushed out by what follows in the same batch.
    await (await ask({ limit: ORDERED }, LINES)).text();
    const arrow = tableFromIPC(new Uint8Array(await (await ask({}, ARROW)).arrayBuffer()));
    const keys = [...arrow].map((row) => row.toJSON()).map(({ key, text }) => (text === `text of ${key}` ? key : text));
    assert.deepEqual(keys.sort(), expected);
    const answer = await ask({ order_by: ['key'], limit: ORDERED }, 'application/json');
    const text = await answer.text();
    assert.equal(answer.status, 200, text.slice(0, 500));
    const { rows } = JSON.parse(text) as { rows: { key: string }[] };
    assert.deepEqual(
      rows.map(({ key }) => key),
      expected.slice(0, ORDERED),
    );
  }
});

/** Rows whose pages are few enough to be read in this order from so small a cache. */
const ORDERED = 200;
/** Of each file. */
const KEYS = 2000;

const stringKey = (id: number) => `${(id * 7919) % (4 * KEYS)}`.padStart(40, 'k');

function stringKeys(file: number): Buffer {
  const keys = Array.from({ length: KEYS }, (_, i) => stringKey(file * KEYS + i));
  return parquetBytes(
    [
      { name: 'key', data: keys, type: 'STRING', encoding: 'PLAIN' },
      { name: 'text', data: keys.map((key) => `text of ${key}`), type: 'STRING', encoding: 'PLAIN' },
    ],
    { pageBytes: 4096, codec: 'UNCOMPRESSED' },
  );
}
