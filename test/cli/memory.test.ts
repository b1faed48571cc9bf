/**
 * What a server has resident while pages of many sizes pass through a full cache: `cache.memory`, Node itself and a
 * bounded rest. With what the allocator and V8 do by default the same load takes more (docs/adr/0023).
 */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Asker } from '../support/ask.ts';
import { scratchFolder, writeParquet } from '../support/scratch.ts';

const BIN = fileURLToPath(new URL('../../bin/pointlake.js', import.meta.url));
const MIB = 2 ** 20;
const CACHE_MIB = 128;
/** Seen: 372 to 408 MiB on a busy machine. It guards against what grows with the load, not against a tenth more. */
const RESIDENT_BYTES_MAX = 512 * MIB;
const TABLES = 3;
const ROWS = 60_000;
/** Pages of the tables: from parts of a block to many of them. */
const PAGE_BYTES = [64 * 1024, 512 * 1024, 3 * MIB];
const LANES = 8;
const STEPS = 60;
const BATCH_KEYS = 24;
const SEED = 20_261_123;

const textOf = (id: number) => `${id} ${'of some length '.repeat(20 + ((id * 7919) % 130))}`;

async function start(config: string): Promise<{ readonly child: ChildProcess; readonly url: string }> {
  const child = spawn(process.execPath, [BIN, 'serve', '--config', config], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout });
  for await (const line of lines) {
    const url = /ready on (\S+)/.exec(line)?.[1];
    if (url !== undefined) return { child, url };
  }
  throw new Error('the server ended before it was ready');
}

function writeTables(folder: string): string {
  const ids = Array.from({ length: ROWS }, (_, i) => i);
  const columns = [
    { name: 'id', data: ids, type: 'INT32', nullable: false },
    { name: 'text', data: ids.map(textOf), type: 'STRING' },
  ] as const;
  const tables = PAGE_BYTES.slice(0, TABLES).map((pageBytes, i) => {
    writeParquet(join(folder, `t${i}.parquet`), columns, { pageBytes, rowsPerRowGroup: 20_000 });
    return `  t${i}: { source: t${i}.parquet, key: id }`;
  });
  const config = join(folder, 'pointlake.yaml');
  writeFileSync(config, `server: { port: 0 }\ncache: { memory: ${CACHE_MIB}MiB }\ntables:\n${tables.join('\n')}\n`);
  return config;
}

/** The most that the process ever had resident. */
function peakBytes(pid: number | undefined): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
}

/** A linear congruential generator: the same keys in every run. */
function randomIds(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * ROWS);
  };
}

test('a full cache under a mixed load stays within its memory, Node and a bounded rest', async (context) => {
  if (!existsSync('/proc/self/status')) return context.skip('this system does not tell what a process has resident');
  const { child, url } = await start(writeTables(scratchFolder(context)));
  context.after(() => child.kill('SIGKILL'));
  const asker = new Asker(url);
  context.after(() => asker.close());
  let checked = 0;
  const lane = async (_: unknown, number: number) => {
    const next = randomIds(SEED + number);
    for (let step = 0; step < STEPS; step++) {
      const table = `t${(number + step) % TABLES}`;
      const id = next();
      const row = await asker.ask(`/v1/tables/${table}/rows/${id}`);
      assert.deepEqual(JSON.parse(row.text), { id, text: textOf(id) });
      const keys = Array.from({ length: BATCH_KEYS }, next);
      const batch = await asker.ask(`/v1/tables/${table}/lookup`, { body: JSON.stringify({ keys }) });
      const { results } = JSON.parse(batch.text) as { results: { row: { id: number; text: string } }[] };
      assert.deepEqual(
        results.map((result) => result.row),
        keys.map((key) => ({ id: key, text: textOf(key) })),
      );
      checked += 1 + keys.length;
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  assert.equal(checked, LANES * STEPS * (1 + BATCH_KEYS));
  const described = JSON.parse((await asker.ask('/v1/tables/t0')).text) as { cache: { memory: { evicted: number } } };
  assert.ok(described.cache.memory.evicted > 0, 'the cache is full');
  const peak = peakBytes(child.pid);
  context.diagnostic(`resident at most ${(peak / MIB).toFixed(0)} MiB, ${checked} rows checked, seed ${SEED}`);
  assert.ok(peak <= RESIDENT_BYTES_MAX, `${(peak / MIB).toFixed(0)} MiB resident`);
});
