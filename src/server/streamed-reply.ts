/**
 * A reply whose length nobody knows: its head goes out with its first bytes, and each write waits until the client has
 * taken the one before. A client that takes nothing for a while is cut off, since a query waits behind it.
 */

import type { FastifyReply } from 'fastify';
import type { Clock } from '../core/index.ts';
import { ServiceError } from '../core/index.ts';
import { drained, ended } from './drained.ts';

export class StreamedReply {
  readonly #reply: FastifyReply;
  readonly #headers: readonly string[];
  readonly #clock: Clock;
  readonly #stallMs: number;
  #hasBegun = false;

  constructor(reply: FastifyReply, headers: readonly string[], clock: Clock, stallMs: number) {
    this.#reply = reply;
    this.#headers = headers;
    this.#clock = clock;
    this.#stallMs = stallMs;
  }

  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  async write(bytes: string | Uint8Array): Promise<void> {
    const { raw } = this.#reply;
    this.#begin();
    if (raw.destroyed) throw gone();
    if (bytes.length === 0 || raw.write(bytes)) return;
    if (!(await drained(raw, this.#clock, this.#stallMs))) throw gone();
  }

  /**
   * The last bytes, and what is known only behind them: `trailers` are announced by the head. Whoever made them need not wait
   * until the client has taken them.
   */
  async end(bytes: string | Uint8Array, trailers: Readonly<Record<string, string>> = {}): Promise<void> {
    this.#begin();
    const { raw } = this.#reply;
    if (raw.destroyed) return;
    if (bytes.length > 0) raw.write(bytes);
    raw.addTrailers(trailers);
    void ended(raw, this.#clock, this.#stallMs);
  }

  /** Ends the connection, so that the client cannot take what it has for the whole. */
  cut(): void {
    this.#reply.raw.destroy();
  }

  #begin(): void {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    this.#reply.hijack();
    this.#reply.raw.writeHead(200, [...this.#headers]);
  }
}

function gone(): ServiceError {
  return new ServiceError('timeout', 'client_gone', 'the client closed the connection before the answer was ready');
}
