/** Replies to clients that stop reading end, whichever of their bytes are left lying. */

import assert from 'node:assert/strict';
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyReply } from 'fastify';
import { drained, ended } from '../../src/server/drained.ts';
import { StreamedReply } from '../../src/server/streamed-reply.ts';
import { ManualClock } from '../support/manual-clock.ts';

/** More than the kernel takes of a client that reads nothing. */
const BYTES = 64 * 2 ** 20;
const STALL_MS = 1000;

/** A client that has asked and reads nothing, and the reply to it. */
async function stuck(context: TestContext) {
  const { promise, resolve } = Promise.withResolvers<ServerResponse>();
  const server = createServer((_request, reply) => resolve(reply)).listen(0, '127.0.0.1');
  await new Promise((listening) => server.once('listening', listening));
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  client.on('error', () => undefined);
  client.pause();
  client.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n');
  context.after(() => {
    client.destroy();
    server.closeAllConnections();
    server.close();
  });
  return { raw: await promise, client };
}

async function untilClosed(raw: ServerResponse): Promise<void> {
  for (let turns = 0; !raw.destroyed && turns < 2000; turns++) await sleep(1);
  assert.ok(raw.destroyed);
}

test('the last bytes of a stream are waited for as long as those before them', async (context) => {
  const { raw } = await stuck(context);
  const clock = new ManualClock();
  const reply = { raw, hijack: () => undefined } as unknown as FastifyReply;
  const stream = new StreamedReply(reply, ['content-type', 'text/plain'], clock, STALL_MS);
  await stream.end(Buffer.alloc(BYTES));
  await sleep(20);
  assert.equal(raw.destroyed, false);
  clock.advance(STALL_MS - 1);
  await sleep(20);
  assert.equal(raw.destroyed, false, 'not before its time');
  clock.advance(1);
  await untilClosed(raw);
  assert.equal(clock.sleeping, 0);
});

test('who takes the last bytes in time is not cut off, and nothing is left to wait for', async (context) => {
  const { raw, client } = await stuck(context);
  const clock = new ManualClock();
  raw.writeHead(200, ['content-type', 'text/plain']);
  raw.write(Buffer.alloc(BYTES));
  const isDrained = drained(raw, clock, STALL_MS);
  let received = 0;
  client.on('data', (bytes) => {
    received += bytes.length;
  });
  client.resume();
  assert.ok(await isDrained);
  raw.write(Buffer.alloc(BYTES));
  assert.ok(await ended(raw, clock, STALL_MS));
  assert.equal(clock.sleeping, 0);
  for (let turns = 0; received < 2 * BYTES && turns < 5000; turns++) await sleep(1);
  assert.ok(received > 2 * BYTES);
});

test('a client that leaves ends the wait', async (context) => {
  const { raw, client } = await stuck(context);
  const clock = new ManualClock();
  raw.writeHead(200, ['content-type', 'text/plain']);
  raw.write(Buffer.alloc(BYTES));
  const isTaken = ended(raw, clock, STALL_MS);
  client.destroy();
  assert.equal(await isTaken, false);
  assert.equal(clock.sleeping, 0);
});
