/**
 * Values that are too large to copy: sent in slices of the block's own bytes, as fast as the client reads.
 *
 * A slice is written when the one before it has left, so that a slow client makes no second copy of the value grow in the
 * process; one that takes no slice for a while is cut off. What such replies, and large answers to many keys, hold is
 * bounded and charged to the node's memory: readers of one block share it, and beyond the bound a reader is told to come
 * back. A block that the cache has too is counted twice meanwhile, since it may leave the cache at any time.
 */

import type { ServerResponse } from 'node:http';
import { type Clock, ServiceError } from '../core/index.ts';
import { drained, ended } from './drained.ts';
import type { Reply } from './reply.ts';
import { respond } from './respond.ts';

/**
 * Up to here a value is copied: its block may lie in a slab, whose memory is given to other blocks. A larger value is in a
 * block that has memory of its own, and stays what it is for as long as someone holds it.
 */
export const COPIED_BYTES_MAX: number = 64 * 1024;
/** Up to here an answer to many keys is not counted: what their number allows of such is little. */
const MADE_BYTES_MAX = 2 ** 20;
/** Enough for one write to be worth its call, little enough to come back for soon. */
const SLICE_BYTES = 256 * 1024;

export interface LargeRepliesOptions {
  /** Bytes of distinct blocks that replies under way hold. */
  readonly heldBytesMax: number;
  /** Milliseconds that a client may take for one slice. */
  readonly stallMs: number;
}

export class LargeReplies {
  readonly #options: LargeRepliesOptions;
  readonly #clock: Clock;
  readonly #onHeld: (bytes: number) => void;
  /** How many replies hold each block's memory. */
  readonly #holders = new Map<ArrayBufferLike, number>();
  #heldBytes = 0;

  /** `onHeld` is told how many bytes more, or fewer, are held. */
  constructor(options: LargeRepliesOptions, clock: Clock, onHeld: (bytes: number) => void = () => undefined) {
    this.#options = options;
    this.#clock = clock;
    this.#onHeld = onHeld;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Sends a 200 with these bytes, a view of a block. Throws `overloaded` when too much is on its way already. */
  send(reply: Reply<ServerResponse>, headers: readonly string[], bytes: Uint8Array): void {
    if (bytes.length <= COPIED_BYTES_MAX) {
      respond(reply, 200, headers, Buffer.from(bytes));
      return;
    }
    const { buffer } = bytes;
    this.#hold(buffer);
    reply.hijack();
    reply.raw.once('close', () => this.#release(buffer));
    reply.raw.writeHead(200, [...headers, 'content-length', `${bytes.length}`]);
    if (reply.raw.req.method === 'HEAD') reply.raw.end();
    else void this.#stream(reply.raw, bytes);
  }

  /** Sends a 200 with a body that was made for it alone: a small one at once, another as a large value is sent. */
  sendMade(reply: Reply<ServerResponse>, headers: readonly string[], body: string | Buffer): void {
    if (body.length <= MADE_BYTES_MAX) respond(reply, 200, headers, body);
    else this.send(reply, headers, typeof body === 'string' ? Buffer.from(body) : body);
  }

  #hold(buffer: ArrayBufferLike): void {
    const holders = this.#holders.get(buffer) ?? 0;
    const { heldBytesMax } = this.#options;
    // One alone passes, however large.
    if (holders === 0 && this.#heldBytes > 0 && this.#heldBytes + buffer.byteLength > heldBytesMax) {
      const message = `large answers of ${this.#heldBytes} bytes are being sent already; come back in a moment`;
      throw new ServiceError('overloaded', 'overloaded', message, { limit: heldBytesMax });
    }
    this.#holders.set(buffer, holders + 1);
    if (holders === 0) this.#change(buffer.byteLength);
  }

  #release(buffer: ArrayBufferLike): void {
    const holders = this.#holders.get(buffer) ?? 0;
    if (holders > 1) {
      this.#holders.set(buffer, holders - 1);
      return;
    }
    this.#holders.delete(buffer);
    this.#change(-buffer.byteLength);
  }

  #change(bytes: number): void {
    this.#heldBytes += bytes;
    this.#onHeld(bytes);
  }

  async #stream(raw: ServerResponse, bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length && !raw.destroyed; at += SLICE_BYTES) {
      const isTaken = raw.write(bytes.subarray(at, at + SLICE_BYTES));
      if (!isTaken && !(await drained(raw, this.#clock, this.#options.stallMs))) return;
    }
    if (!raw.destroyed) await ended(raw, this.#clock, this.#options.stallMs);
  }
}
