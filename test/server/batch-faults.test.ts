/** Batches of many keys whose storage hangs, or is slow for some of them: what is found is answered, each key by itself. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { FaultyS3 } from '../support/faulty-s3.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { nodeOf } from '../support/one-node.ts';
import { parquetBytes } from '../support/scratch.ts';
import { serve } from '../support/served.ts';

/** Of each of two files: too large to be read whole. */
const ROWS = 5000;
const SECOND = 't/b.parquet';
const DEADLINE_MS = 600_000;

const textOf = (id: number) => `text of ${id} ${'.'.repeat(60)}`;

function bytesOf(from: number, pageBytes = 2048): Buffer {
  const ids = Array.from({ length: ROWS }, (_, i) => from + i);
  return parquetBytes(
    [
      { name: 'id', data: ids, type: 'INT32', encoding: 'PLAIN', nullable: false },
      { name: 'text', data: ids.map(textOf), type: 'STRING', encoding: 'PLAIN' },
    ],
    { pageBytes, codec: 'UNCOMPRESSED' },
  );
}

interface Result {
  readonly status: string;
  readonly row?: { readonly text: string };
}

test('the deadline of a large batch: found where storage answered, timeout where it hangs, and all of them later', async (context) => {
  const s3 = await FaultyS3.start();
  context.after(() => s3.stop());
  s3.put('lake', 't/a.parquet', bytesOf(0));
  s3.put('lake', SECOND, bytesOf(ROWS));
  const settings = { endpoint: s3.endpoint, credentials: { accessKeyId: 'a', secretAccessKey: 'b' } };
  const node = nodeOf(context, [{ name: 't', source: 's3://lake/t/', key: ['id'] }], { s3: settings });
  await node.catalog.get('t').refresh();
  const clock = new ManualClock();
  const server = await serve(node, { deadlineMs: DEADLINE_MS }, clock);
  context.after(() => server.close());
  const opened = Promise.withResolvers<void>();
  context.after(() => opened.resolve());
  s3.reset();
  s3.faultOf = ({ op, key }) => (op === 'get' && key === SECOND ? { kind: 'until', done: opened.promise } : undefined);
  // Of both files in turn, so that no run of keys is all of one.
  const keys = Array.from({ length: 1000 }, (_, i) => (i % 2) * ROWS + i);
  const ask = async (): Promise<readonly Result[]> => {
    const headers = { 'content-type': 'application/json' };
    const init = { method: 'POST', headers, body: JSON.stringify({ keys, columns: ['text'] }) };
    const answer = await fetch(`${server.url}/v1/tables/t/lookup`, init);
    assert.equal(answer.status, 200);
    return ((await answer.json()) as { results: readonly Result[] }).results;
  };
  const told = (results: readonly Result[]) => results.map(({ status, row }) => row?.text ?? status);
  const asking = ask();
  const readOf = (name: string) => s3.requests.filter(({ op, key }) => op === 'get' && key === name).length;
  // Until the good file is read no further.
  for (let before = -1; readOf(SECOND) === 0 || before !== s3.requests.length; ) {
    before = s3.requests.length;
    await sleep(300);
  }
  clock.advance(DEADLINE_MS);
  const partial = told(await asking);
  assert.deepEqual(
    partial.filter((_, i) => i % 2 === 1),
    keys.filter((_, i) => i % 2 === 1).map(() => 'timeout'),
  );
  const found = partial.filter((text, i) => i % 2 === 0 && text === textOf(keys[i] ?? -1)).length;
  const late = partial.filter((text, i) => i % 2 === 0 && text === 'timeout').length;
  assert.equal(found + late, keys.length / 2, 'a key is found or says that its time was up');
  assert.ok(found > 0, 'what storage answered is answered');
  opened.resolve();
  assert.deepEqual(told(await ask()), keys.map(textOf));
});

test('where one key finds its object changed, the batch begins anew and waits for no read of the first run', async (context) => {
  const s3 = await FaultyS3.start();
  context.after(() => s3.stop());
  const first = 't/a.parquet';
  s3.put('lake', first, bytesOf(0));
  s3.put('lake', SECOND, bytesOf(ROWS));
  const settings = { endpoint: s3.endpoint, credentials: { accessKeyId: 'a', secretAccessKey: 'b' } };
  const node = nodeOf(context, [{ name: 't', source: 's3://lake/t/', key: ['id'] }], { s3: settings, hedge: false });
  await node.catalog.get('t').refresh();
  const server = await serve(node, { deadlineMs: DEADLINE_MS }, new ManualClock());
  context.after(() => server.close());
  const never = Promise.withResolvers<void>();
  context.after(() => never.resolve());
  s3.reset();
  let held = 0;
  // The first read of the second file never ends, and the first file's is let go when that has begun.
  const isHeld = Promise.withResolvers<void>();
  s3.faultOf = ({ op, key }) => {
    if (op !== 'get') return undefined;
    if (key === first) return { kind: 'until', done: isHeld.promise };
    if (key !== SECOND || held > 0) return undefined;
    held += 1;
    isHeld.resolve();
    return { kind: 'until', done: never.promise };
  };
  s3.put('lake', first, bytesOf(0, 1024));
  const body = JSON.stringify({ keys: [1, ROWS + 1], columns: ['text'] });
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body };
  const answer = await fetch(`${server.url}/v1/tables/t/lookup`, init);
  const { results } = (await answer.json()) as { results: readonly Result[] };
  assert.deepEqual(
    results.map(({ row }) => row?.text),
    [textOf(1), textOf(ROWS + 1)],
  );
  // Whoever waits for that read asks for it again when it was silent for long, and lists only then.
  const listed = s3.requests.findIndex(({ op }) => op === 'list');
  const before = s3.requests.slice(0, listed).filter(({ op, key }) => op === 'get' && key === SECOND);
  assert.ok(listed > 0 && before.length > 0);
  assert.equal(new Set(before.map(({ range }) => range)).size, before.length, 'no range was asked for twice');
});
