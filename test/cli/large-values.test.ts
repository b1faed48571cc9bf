/** Sixteen readers of values up to 32 MiB at a server of 256 MiB: every byte right, and its memory bounded. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { SIZES, writeDocuments } from '../support/large-values.ts';
import { scratchFolder } from '../support/scratch.ts';

const BIN = fileURLToPath(new URL('../../bin/pointlake.js', import.meta.url));
const MIB = 2 ** 20;
const READERS = 16;
const READS = 96;
const VALUE_BYTES_MAX = 32 * MIB;
/** Node itself before a row is asked for, the configured memory, and large values on their way beside it. */
const RESIDENT_BYTES_MAX = (200 + 256 + 2 * 64) * MIB;

async function start(config: string): Promise<{ readonly child: ChildProcess; readonly url: string }> {
  const child = spawn(process.execPath, [BIN, 'serve', '--config', config], { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of createInterface({ input: child.stdout })) {
    const url = /ready on (\S+)/.exec(line)?.[1];
    if (url !== undefined) return { child, url };
  }
  throw new Error('the server ended before it was ready');
}

/** The most that the process ever had resident. */
function peakBytes(pid: number | undefined): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
}

test('sixteen readers of large values at a server of 256 MiB', async (context) => {
  if (!existsSync('/proc/self/status')) return context.skip('this system does not tell what a process has resident');
  const folder = scratchFolder(context);
  const digests = writeDocuments(join(folder, 'docs.parquet'));
  const config = join(folder, 'pointlake.yaml');
  writeFileSync(
    config,
    'server: { port: 0 }\ncache: { memory: 256MiB }\ntables: { docs: { source: docs.parquet, key: id } }\n',
  );
  const { child, url } = await start(config);
  context.after(() => child.kill('SIGKILL'));
  const atStart = peakBytes(child.pid);
  let bytes = 0;
  let refused = 0;
  const queue = Array.from({ length: READS }, (_, i) => (i * 7) % SIZES.length).values();
  const reader = async () => {
    for (const id of queue) {
      for (;;) {
        const answer = await fetch(`${url}/v1/tables/docs/values/text/${id}`);
        const hash = createHash('sha256');
        for await (const chunk of answer.body ?? []) {
          hash.update(chunk as Uint8Array);
          if (answer.status === 200) bytes += (chunk as Uint8Array).length;
        }
        if (answer.status === 429) {
          refused += 1;
          await nextTurn();
          continue;
        }
        assert.equal(answer.status, (SIZES[id] ?? 0) > VALUE_BYTES_MAX ? 422 : 200);
        if (answer.status === 200) assert.equal(hash.digest('hex'), digests[id], `the value of ${SIZES[id]} bytes`);
        break;
      }
    }
  };
  await Promise.all(Array.from({ length: READERS }, reader));
  const peak = peakBytes(child.pid);
  const mib = (of: number) => Math.round(of / MIB);
  context.diagnostic(
    `${mib(bytes)} MiB read, ${refused} times told to wait; ${mib(atStart)} MiB resident at the start, ${mib(peak)} at most`,
  );
  assert.ok(peak <= RESIDENT_BYTES_MAX, `${mib(peak)} MiB resident`);
  child.kill('SIGTERM');
  assert.deepEqual(await once(child, 'exit'), [0, null]);
});
