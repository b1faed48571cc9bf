/** What comes on a server's socket is read into one buffer, whole and in order, and waits while the socket is paused. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { readInPlace } from '../../src/server/read-buffer.ts';

/** Both ends of a connection that Node reads for a server. */
async function connected(context: TestContext): Promise<{ readonly client: Socket; readonly there: Socket }> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1').setNoDelay(true);
  const [there] = (await once(server, 'connection')) as [Socket];
  context.after(() => {
    client.destroy();
    there.destroy();
    server.close();
  });
  return { client, there };
}

test('pieces of all sockets are read into the same memory, those before it into memory of their own', async (context) => {
  const buffers = new Set<ArrayBufferLike>();
  const before = new Set<ArrayBufferLike>();
  for (let i = 0; i < 3; i++) {
    const { client, there } = await connected(context);
    const texts: string[] = [];
    let into = before;
    there.on('data', (chunk: Buffer) => {
      texts.push(chunk.toString());
      into.add(chunk.buffer);
    });
    client.write('first');
    await once(there, 'data');
    into = buffers;
    assert.equal(readInPlace(there), true);
    for (const text of ['second', 'third']) {
      client.write(text);
      while (texts.at(-1) !== text) await sleep(1);
    }
    assert.deepEqual(texts, ['first', 'second', 'third']);
  }
  assert.deepEqual([before.size, buffers.size], [3, 1]);
});

test('more than the buffer holds comes whole and in order, none while the socket is paused, and then its end', async (context) => {
  const { client, there } = await connected(context);
  const parts: Buffer[] = [];
  assert.ok(readInPlace(there));
  there.on('data', (chunk: Buffer) => {
    parts.push(Buffer.from(chunk));
    if (parts.length % 5 === 0) there.pause();
  });
  const sent = Buffer.from(Array.from({ length: 1e6 }, (_, i) => (i * 31 + (i >>> 9)) & 0xff));
  client.end(sent);
  let pauses = 0;
  let hasEnded = false;
  there.once('end', () => {
    hasEnded = true;
  });
  while (!hasEnded) {
    if (there.isPaused()) {
      const { length } = parts;
      await sleep(5);
      assert.equal(parts.length, length, 'read while it was paused');
      pauses += 1;
      there.resume();
    }
    await sleep(1);
  }
  assert.ok(pauses > 1, `${pauses} pauses`);
  assert.ok(Buffer.concat(parts).equals(sent));
});

test('a socket that has a buffer already, or is closed, is left as it is', async (context) => {
  const { there } = await connected(context);
  assert.deepEqual([readInPlace(there), readInPlace(there)], [true, false]);
  const closed = (await connected(context)).there;
  closed.destroy();
  assert.equal(readInPlace(closed), false);
});
