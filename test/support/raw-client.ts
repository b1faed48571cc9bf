/** A client of a server in this process that decides what is in a chunk, and sees the bytes that come back. */

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { PointlakeServer } from '../../src/server/index.ts';

/** A client that sends bytes as it is told, each chunk read by the server before the next. */
export class Client {
  readonly #socket: Socket;
  /** The server's end. */
  readonly there: Socket;
  readonly closed: Promise<unknown>;
  #sent = 0;
  #received = Buffer.alloc(0);
  isClosed = false;

  private constructor(socket: Socket, there: Socket) {
    this.#socket = socket;
    this.there = there;
    this.closed = once(socket, 'close');
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
    });
    socket.on('close', () => {
      this.isClosed = true;
    });
    socket.on('error', () => undefined);
  }

  static async to(server: PointlakeServer): Promise<Client> {
    const accepted = Promise.withResolvers<Socket>();
    server.fastify.server.once('connection', accepted.resolve);
    const socket = connect(server.port, '127.0.0.1');
    return new Client(socket.setNoDelay(true), await accepted.promise);
  }

  async send(bytes: string): Promise<void> {
    const chunk = Buffer.from(bytes, 'latin1');
    this.#sent += chunk.length;
    this.#socket.write(chunk);
    for (let turn = 0; turn < 500 && this.there.bytesRead < this.#sent && !this.isClosed; turn++) await nextTurn();
  }

  get socket(): Socket {
    return this.#socket;
  }

  /** All that came, once nothing more has come for a while. */
  async takeAll(): Promise<string> {
    for (let length = -1; length !== this.#received.length; await sleep(15)) length = this.#received.length;
    const text = undated(this.#received.toString('latin1'));
    this.#received = Buffer.alloc(0);
    return text;
  }

  /** Waits until that many answers are there, or the server has closed, and takes all that came. */
  async take(answers: number): Promise<string[]> {
    for (;;) {
      const found = answersIn(this.#received);
      if (found.length >= answers || this.isClosed) {
        this.#received = Buffer.alloc(0);
        return found;
      }
      await sleep(1);
    }
  }

  async ask(bytes: string): Promise<string> {
    await this.send(bytes);
    const [answer = ''] = await this.take(1);
    return answer;
  }
}

/** Without what depends on when it was written. */
function undated(text: string): string {
  return text
    .replace(/^Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n/gm, 'Date: then\r\n')
    .replace(/^pointlake-snapshot-age: \d+\r\n/gm, 'pointlake-snapshot-age: some\r\n');
}

/** Whole answers by their lengths, without their dates. */
function answersIn(bytes: Buffer): string[] {
  const answers: string[] = [];
  for (let at = 0; ; ) {
    const headEnd = bytes.indexOf('\r\n\r\n', at);
    if (headEnd < 0) return answers;
    const head = bytes.toString('latin1', at, headEnd);
    const end = headEnd + 4 + Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0);
    if (end > bytes.length) return answers;
    answers.push(undated(bytes.toString('latin1', at, end)));
    at = end;
  }
}

/** How many requests Node's parser has read. */
export function parsedBy(server: PointlakeServer): () => number {
  let parsed = 0;
  server.fastify.server.prependListener('request', () => {
    parsed += 1;
  });
  return () => parsed;
}
