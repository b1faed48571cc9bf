/** That the object which is kept is one of those that `process.nextTick` makes: of the same hidden class as later ones. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const module = fileURLToPath(new URL('../../src/server/kept-tick.ts', import.meta.url));

test('one tick object is kept, and after full collections the next ones are of its class', () => {
  const program = `
    import { executionAsyncResource } from 'node:async_hooks';
    const { keepTick } = await import(${JSON.stringify(module)});
    const kept = keepTick();
    keepTick();
    await new Promise((resolve) => setImmediate(resolve));
    for (let round = 0; round < 8; round++) {
      gc();
      await new Promise((resolve) => setImmediate(resolve));
    }
    process.nextTick(() => {
      const later = executionAsyncResource();
      console.log(kept.length, kept[0] === later, %HaveSameMap(kept[0], later), %HaveSameMap(kept[0], {}));
    });
  `;
  const flags = ['--expose-gc', '--allow-natives-syntax', '--input-type=module', '--eval', program];
  const run = spawnSync(process.execPath, flags, { encoding: 'utf8' });
  assert.equal(run.stderr, '');
  assert.equal(run.stdout, '1 false true false\n');
});
