/**
 * Pages of runs that lie on disk, as many as there is room for.
 *
 * Which page goes is told by a clock: a hand passes over pages that were used since it last came, and takes the next one.
 * Keys are looked up at random, so that nothing cleverer would keep more of what comes back.
 */

import { PAGE_BYTES } from './run-layout.ts';

/** One page, as words and as bytes of the same memory. */
export interface RunPage {
  readonly words: Uint32Array;
  readonly bytes: Uint8Array;
}

/** Where a run finds its pages: by page, the slot in the cache; -1 where it is in none. */
export type PageSlots = Int32Array;

export interface PageRoom {
  /** Bytes that pages may take. */
  bytesMax(): number;
  /** Told by how much they take more, or less. */
  onBytes(change: number): void;
}

/** What a page takes: itself and what finds it. */
const COST_BYTES: number = PAGE_BYTES + 256;

export class PageCache {
  readonly #room: PageRoom;
  readonly #pages: (RunPage | undefined)[] = [];
  readonly #owners: (PageSlots | undefined)[] = [];
  readonly #ordinals: number[] = [];
  readonly #isUsed: boolean[] = [];
  readonly #free: number[] = [];
  #held = 0;
  #hand = 0;

  constructor(room: PageRoom) {
    this.#room = room;
  }

  get byteLength(): number {
    return this.#held * COST_BYTES;
  }

  get(slots: PageSlots, page: number): RunPage | undefined {
    const slot = slots[page] ?? -1;
    if (slot < 0) return undefined;
    this.#isUsed[slot] = true;
    return this.#pages[slot];
  }

  /** Keeps the page where there is room, if need be in place of another. */
  put(slots: PageSlots, page: number, content: RunPage): void {
    if ((slots[page] ?? 0) >= 0) return;
    const bytesMax = this.#room.bytesMax();
    if (bytesMax < COST_BYTES) return;
    while (this.byteLength + COST_BYTES > bytesMax) this.#evict();
    const slot = this.#free.pop() ?? this.#pages.length;
    this.#pages[slot] = content;
    this.#owners[slot] = slots;
    this.#ordinals[slot] = page;
    this.#isUsed[slot] = false;
    slots[page] = slot;
    this.#count(1);
  }

  /** After the room has become smaller. */
  trim(): void {
    const bytesMax = this.#room.bytesMax();
    while (this.#held > 0 && this.byteLength > bytesMax) this.#evict();
  }

  /** The run is gone. */
  forget(slots: PageSlots): void {
    for (const slot of slots) if (slot >= 0) this.#release(slot);
  }

  #evict(): void {
    for (;;) {
      const slot = this.#hand;
      this.#hand = (slot + 1) % this.#pages.length;
      if (this.#pages[slot] === undefined) continue;
      if (this.#isUsed[slot] !== true) {
        this.#release(slot);
        return;
      }
      this.#isUsed[slot] = false;
    }
  }

  #release(slot: number): void {
    const slots = this.#owners[slot];
    if (slots !== undefined) slots[this.#ordinals[slot] ?? 0] = -1;
    this.#pages[slot] = undefined;
    this.#owners[slot] = undefined;
    this.#free.push(slot);
    this.#count(-1);
  }

  #count(change: number): void {
    this.#held += change;
    this.#room.onBytes(change * COST_BYTES);
  }
}
