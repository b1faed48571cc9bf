/**
 * A server that does as little as can be: it looks for the end of each request and writes the same bytes. It knows
 * requests of our own load only: one at a time on a connection, a body's length in its head.
 */

import { createServer, type Socket } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';

export interface EchoTask {
  /** Of an answer's body. */
  readonly bytes: number;
}

export interface EchoPort {
  readonly port: number;
}

const HEAD_END = '\r\n\r\n';
const HEAD_CHARS_MAX = 2 ** 16;
/** An empty answer to a batch, since some of those are looked into; longer by what `_` has. */
const EMPTY = '{"results":[],"_":""}';

const { bytes } = workerData as EchoTask;
const body = EMPTY.replace('""', `"${'x'.repeat(Math.max(0, bytes - EMPTY.length))}"`);
const answer = Buffer.from(
  `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}${HEAD_END}${body}`,
);

const server = createServer({ noDelay: true }, serve);
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  const port: EchoPort = { port: typeof address === 'object' && address !== null ? address.port : 0 };
  parentPort?.postMessage(port);
});

function serve(socket: Socket): void {
  let head = '';
  let bodyLeft = 0;
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk: Buffer) => {
    if (bodyLeft > 0) bodyLeft -= chunk.length;
    else {
      head += chunk.toString('latin1');
      const end = head.indexOf(HEAD_END);
      if (end < 0) return void (head.length > HEAD_CHARS_MAX && socket.destroy());
      const length = Number(/content-length: *([0-9]+)/i.exec(head.slice(0, end))?.[1] ?? 0);
      bodyLeft = length - (head.length - end - HEAD_END.length);
      head = '';
    }
    if (bodyLeft <= 0) socket.write(answer);
  });
}
