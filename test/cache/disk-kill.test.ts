/** SIGKILL in the midst of writing, again and again: the next process opens the folder and reads nothing wrong. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as after } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { sampled } from '../support/sampled.ts';
import { scratchFolder } from '../support/scratch.ts';
import { identityOf, openCache, PAGES, payloadOf } from './disk-writer.ts';

const ROUNDS = sampled(20, 60);

test(`killed ${ROUNDS} times while it writes, it never gives a wrong byte`, async (context) => {
  const folder = scratchFolder(context);
  const writer = fileURLToPath(new URL('./disk-writer.ts', import.meta.url));
  const payloads = Array.from({ length: PAGES }, (_, page) => payloadOf(page));
  let read = 0;
  let invalid = 0;
  let files = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const child = spawn(process.execPath, [writer, folder, String(round * 97)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    // By what it has written and not by time, in which a busy machine may not let it write at all.
    const enough = 1 + ((round * 7) % 41);
    let written = 0;
    for await (const dots of child.stdout) {
      written += String(dots).length;
      if (written >= enough) break;
    }
    // In the midst of a write as well as between two.
    await after(round % 4);
    child.kill('SIGKILL');
    const [, signal] = (await exited) as [number | null, string | null];
    assert.equal(signal, 'SIGKILL');

    const cache = openCache(folder);
    for (const [page, payload] of payloads.entries()) {
      const stored = await cache.blocks.read(identityOf(page));
      if (stored === undefined) continue;
      assert.equal(Buffer.compare(stored, payload), 0, `round ${round}, page ${page}`);
      read += 1;
    }
    for (const name of cache.files.names()) {
      const page = Number(name.split('-')[1]);
      assert.deepEqual(cache.files.read(name), Buffer.from(payloads[page] ?? []));
      files += 1;
    }
    invalid += cache.blocks.state.invalid;
    await cache.close();
  }
  context.diagnostic(
    `${read} blocks and ${files} files were read and right, ${invalid} frames were found cut short or stale`,
  );
  assert.ok(read > 1000 && files > 0, `${read} blocks, ${files} files`);
});
