/** Pages decoded in real threads: the same blocks as inline, faults as data, and a thread that dies. */

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Block, type PageContext } from '../../src/parquet/index.ts';
import { DecodePool, type DecodePoolOptions } from '../../src/shard/index.ts';
import { nodeOf } from '../support/one-node.ts';
import { scratchFolder, writeParquet } from '../support/scratch.ts';

/** One data page of doubles, as it lies in a file, and what is needed to decode it. */
async function aPage(context: TestContext, rows: number): Promise<{ page: Uint8Array; context: PageContext }> {
  const data = Array.from({ length: rows }, (_, i) => Math.sqrt(i));
  const path = writeParquet(
    join(scratchFolder(context), 't.parquet'),
    [{ name: 'root', data, type: 'DOUBLE', encoding: 'PLAIN', nullable: false }],
    { pageBytes: 2 ** 30, rowsPerRowGroup: rows },
  );
  const node = nodeOf(context, [{ name: 't', source: path, key: [] }]);
  const [file] = (await node.catalog.get('t').refresh()).files;
  assert.ok(file?.kind === 'readable');
  const chunk = file.file.chunk(0, 0);
  await node.loader.layout(file.file, chunk, new AbortController().signal);
  const range = chunk.layout?.locations.range(0);
  assert.ok(range);
  return {
    page: new Uint8Array(readFileSync(path).subarray(range.start, range.end)),
    context: {
      leaf: chunk.chunk.leaf,
      codec: chunk.chunk.codec,
      dictionaryRows: undefined,
      expectedRows: rows,
      verifyCrc: true,
      blockBytes: 32 * 1024,
      maxPageBytes: 2 ** 26,
    },
  };
}

function poolOf(context: TestContext, options: DecodePoolOptions): DecodePool {
  const pool = new DecodePool(options);
  context.after(() => pool.close());
  return pool;
}

test('a page decoded in a thread has the blocks of one decoded inline, and many at once get their own', async (context) => {
  const task = { kind: 'data' as const, ...(await aPage(context, 100_000)) };
  const inline = poolOf(context, { inlineCostUsMax: Number.POSITIVE_INFINITY });
  const threads = poolOf(context, { inlineCostUsMax: 0, threads: 2 });
  const expected = await inline.decode(task);
  const decoded = await Promise.all(
    Array.from({ length: 8 }, () => threads.decode({ ...task, page: task.page.slice() })),
  );
  for (const { rows, shift, blocks } of decoded) {
    assert.deepEqual([rows, shift, blocks.length], [100_000, expected.shift, expected.blocks.length]);
    for (const [i, block] of blocks.entries())
      assert.deepEqual(Buffer.from(block), Buffer.from(expected.blocks[i] ?? new ArrayBuffer(0)));
  }
  assert.equal(Block.open(decoded[0]?.blocks[0] ?? new ArrayBuffer(0)).float64At(9), 3);
  assert.deepEqual([inline.stats.inline, threads.stats.pooled], [1, 8]);
});

test('a small page is decoded inline, a large one is not', async (context) => {
  const pool = poolOf(context, {});
  await pool.decode({ kind: 'data', ...(await aPage(context, 100)) });
  assert.deepEqual([pool.stats.inline, pool.stats.pooled], [1, 0]);
  await pool.decode({ kind: 'data', ...(await aPage(context, 2_000_000)) });
  assert.deepEqual([pool.stats.inline, pool.stats.pooled], [1, 1]);
});

test('pages that no thread is free for are decoded here, one a turn of the loop, with the same blocks', async (context) => {
  const large = { kind: 'data' as const, ...(await aPage(context, 4_000_000)) };
  const middle = { kind: 'data' as const, ...(await aPage(context, 50_000)) };
  // Now, since a loop that was busy lends no hand.
  const pool = poolOf(context, { inlineCostUsMax: 0, threads: 1 });
  const inLarge = [pool.decode(large), pool.decode(large)];
  let turns = 0;
  const count = () => {
    turns += 1;
    if (turns < 1000) setImmediate(count);
  };
  setImmediate(count);
  const decodedAt: number[] = [];
  const helped = await Promise.all(
    Array.from({ length: 8 }, async () => {
      const decoded = await pool.decode(middle);
      decodedAt.push(turns);
      return decoded;
    }),
  );
  const alone = await poolOf(context, { inlineCostUsMax: Number.POSITIVE_INFINITY }).decode(middle);
  for (const decoded of helped) assert.deepEqual(decoded, alone);
  assert.equal(pool.stats.inline, 8);
  assert.equal(new Set(decodedAt).size, 8, `other callbacks ran in between: ${decodedAt.join(' ')}`);
  for (const { rows } of await Promise.all(inLarge)) assert.equal(rows, 4_000_000);
});

test('who leaves while its page waits for a turn of the loop is told so, and the others get theirs', async (context) => {
  const large = { kind: 'data' as const, ...(await aPage(context, 4_000_000)) };
  const middle = { kind: 'data' as const, ...(await aPage(context, 50_000)) };
  // Now, since a loop that was busy lends no hand.
  const pool = poolOf(context, { inlineCostUsMax: 0, threads: 1 });
  const inLarge = [pool.decode(large), pool.decode(large)];
  const leaver = new AbortController();
  const first = pool.decode(middle, leaver.signal);
  const second = pool.decode(middle);
  leaver.abort(new Error('deadline'));
  await assert.rejects(first, /deadline/);
  assert.equal((await second).rows, 50_000);
  assert.equal(pool.stats.inline, 1);
  await Promise.all(inLarge);
});

test('a broken page is the same typed error from a thread as from here', async (context) => {
  const { page, context: pageContext } = await aPage(context, 1000);
  page.fill(0xff, 20);
  for (const inlineCostUsMax of [0, Number.POSITIVE_INFINITY]) {
    const pool = poolOf(context, { inlineCostUsMax });
    await assert.rejects(pool.decode({ kind: 'data', page: page.slice(), context: pageContext }), {
      name: 'ServiceError',
      kind: 'corrupt',
    });
  }
});

test('a thread that dies costs one retry; one that dies again fails that page alone', async (context) => {
  const deaths = join(scratchFolder(context), 'deaths');
  process.env.DEATHS_FILE = deaths;
  const worker = new URL('./dying-worker.ts', import.meta.url);
  const pool = poolOf(context, { inlineCostUsMax: 0, threads: 1, worker });
  const task = { kind: 'data' as const, ...(await aPage(context, 1000)) };
  writeFileSync(deaths, '1');
  assert.equal((await pool.decode(task)).rows, 1000);
  writeFileSync(deaths, '2');
  await assert.rejects(pool.decode(task), { kind: 'internal', code: 'decode_thread_died' });
  assert.equal((await pool.decode(task)).rows, 1000);
});

test('a caller that leaves does not wait for its page', async (context) => {
  const pool = poolOf(context, { inlineCostUsMax: 0 });
  const task = { kind: 'data' as const, ...(await aPage(context, 1_000_000)) };
  const leaver = new AbortController();
  const decoding = pool.decode(task, leaver.signal);
  leaver.abort(new Error('deadline'));
  await assert.rejects(decoding);
  assert.equal((await pool.decode(task)).rows, 1_000_000);
});
