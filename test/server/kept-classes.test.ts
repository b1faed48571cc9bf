/** That what is kept is of the same hidden class as what comes later, after full collections. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const module = fileURLToPath(new URL('../../src/server/kept-classes.ts', import.meta.url));

function printed(program: string): string {
  const flags = ['--expose-gc', '--allow-natives-syntax', '--input-type=module', '--eval', program];
  const run = spawnSync(process.execPath, flags, { encoding: 'utf8' });
  assert.equal(run.stderr, '');
  return run.stdout;
}

const COLLECT = `for (let round = 0; round < 8; round++) {
  gc();
  await new Promise((resolve) => setImmediate(resolve));
}`;

test('one tick object is kept, and after full collections the next ones are of its class', () => {
  const program = `
    import { executionAsyncResource } from 'node:async_hooks';
    const { keepTick } = await import(${JSON.stringify(module)});
    const kept = keepTick();
    keepTick();
    await new Promise((resolve) => setImmediate(resolve));
    ${COLLECT}
    process.nextTick(() => {
      const later = executionAsyncResource();
      console.log(kept.length, kept[0] === later, %HaveSameMap(kept[0], later), %HaveSameMap(kept[0], {}));
    });
  `;
  assert.equal(printed(program), '1 false true false\n');
});

test('the first request and its response are kept, and those that come after full collections are of their classes', () => {
  const program = `
    import { once } from 'node:events';
    import { createServer, get } from 'node:http';
    const { keepFirst } = await import(${JSON.stringify(module)});
    let kept, last;
    const server = createServer((request, response) => {
      kept = keepFirst(request, response);
      last = [request, response];
      response.end('answer');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const ask = async () => {
      const [answer] = await once(get({ port: server.address().port, agent: false }), 'response');
      answer.resume();
      await once(answer, 'close');
      await new Promise((resolve) => setTimeout(resolve, 20));
    };
    await ask();
    last = undefined;
    ${COLLECT}
    await ask();
    console.log(kept[0] === last[0], %HaveSameMap(kept[0], last[0]), kept[1] === last[1], %HaveSameMap(kept[1], last[1]));
    server.close();
  `;
  assert.equal(printed(program), 'false true false true\n');
});
