/**
 * An answer in one piece, written to a connection's socket without a response of Node's.
 *
 * The bytes are those that Node would write for the same status, headers and body on a connection that stays open: its own three
 * headers after ours, in its order. For one request at a time, and for GET only, so that every answer with a body has it.
 */

import type { Socket } from 'node:net';
import type { Clock } from '../core/index.ts';
import type { RawReply } from './reply.ts';
import { headOf, type ReplyHeaders } from './reply-headers.ts';

const OK = 'HTTP/1.1 200 OK\r\n';

/** The headers that Node adds to each answer, with the empty line after them: the same for a second. */
export class NodeHeaders {
  readonly #clock: Clock;
  readonly #keepAlive: string;
  #second = -1;
  #text = '';

  constructor(clock: Clock, keepAliveMs: number) {
    this.#clock = clock;
    this.#keepAlive = `Connection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(keepAliveMs / 1000)}\r\n\r\n`;
  }

  text(): string {
    const second = Math.floor(this.#clock.nowMs() / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#text = `Date: ${new Date(second * 1000).toUTCString()}\r\n${this.#keepAlive}`;
    }
    return this.#text;
  }
}

/** `Request` is what it is the reply to. */
export class SocketReply<Request = unknown> implements RawReply {
  readonly #socket: Socket;
  readonly #ofNode: NodeHeaders;
  /** The request, for as long as it waits: what connections held beyond that would grow old with them. */
  #waiting: Request | undefined = undefined;
  #head = '';
  statusCode = 200;
  headersSent = false;
  writableEnded = false;

  constructor(socket: Socket, ofNode: NodeHeaders) {
    this.#socket = socket;
    this.#ofNode = ofNode;
  }

  get destroyed(): boolean {
    return this.#socket.destroyed;
  }

  get writableFinished(): boolean {
    return this.writableEnded;
  }

  /** The request that is neither answered nor taken back. */
  get waiting(): Request | undefined {
    return this.#waiting;
  }

  /** A request that is to be answered. */
  begin(request: Request): void {
    this.#waiting = request;
    this.statusCode = 200;
    this.headersSent = false;
    this.writableEnded = false;
  }

  /** It is answered in another way. */
  takeBack(): void {
    this.#waiting = undefined;
  }

  writeHead(status: number, headers: readonly string[]): void {
    this.statusCode = status;
    this.headersSent = true;
    this.#head = headOf(status, headers);
  }

  end(body: string | Uint8Array = '', encoding: BufferEncoding = 'utf8'): void {
    this.writableEnded = true;
    this.#waiting = undefined;
    if (!this.#socket.writable) return;
    const head = this.#head + this.#ofNode.text();
    this.#head = '';
    if (typeof body === 'string') this.#socket.write(head + body, encoding);
    else {
      this.#socket.cork();
      this.#socket.write(head, 'latin1');
      this.#socket.write(body);
      this.#socket.uncork();
    }
  }

  /** 200 with this text: what is asked for most. */
  endText(headers: ReplyHeaders, ageSeconds: number, body: string): void {
    this.headersSent = true;
    this.writableEnded = true;
    this.#waiting = undefined;
    if (!this.#socket.writable) return;
    const length = Buffer.byteLength(body);
    const text = `${OK}${headers.textToLength(ageSeconds)}${length}\r\n${this.#ofNode.text()}${body}`;
    // Node writes ASCII faster where it need not look for more.
    this.#socket.write(text, length === body.length ? 'latin1' : 'utf8');
  }

  destroy(): void {
    this.#socket.destroy();
  }

  once(event: 'close', listener: () => void): void {
    this.#socket.once(event, listener);
  }
}
