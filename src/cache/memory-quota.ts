/**
 * What the blocks of one table take in memory, dictionaries and blocks in memory of their own included, and what they
 * may take.
 *
 * Where there is a limit, the table's blocks also stand in a queue in the order in which they came, so that its own
 * oldest can leave first. An entry of the queue is an owner, a slot, and a number that stands in the block's header too:
 * what was evicted meanwhile, or came again since, is known by it, and is passed over.
 */

/** Of entries that the queue has room for at first. */
const QUEUE_MIN = 64;

export class MemoryQuota {
  /** Infinity where the table may take all. */
  readonly limitBytes: number;
  usedBytes = 0;
  /** Owner and slot, in a ring of 2^n entries. */
  #words = new Int32Array(0);
  /** The number of the oldest, and of the next to come; they wrap at 32 bits. */
  #first = 0;
  #next = 0;

  constructor(limitBytes: number = Number.POSITIVE_INFINITY) {
    this.limitBytes = limitBytes;
  }

  get isLimited(): boolean {
    return this.limitBytes !== Number.POSITIVE_INFINITY;
  }

  get isOver(): boolean {
    return this.usedBytes > this.limitBytes;
  }

  /** Entries of the queue, those that are passed over included. */
  get queued(): number {
    return (this.#next - this.#first) | 0;
  }

  get isQueueFull(): boolean {
    return this.queued === this.#words.length / 2;
  }

  /** The number of the oldest entry. */
  get oldest(): number {
    return this.#first;
  }

  get oldestOwner(): number {
    return this.#words[this.#at(this.#first)] ?? 0;
  }

  get oldestSlot(): number {
    return this.#words[this.#at(this.#first) + 1] ?? 0;
  }

  /** Leaves the oldest entry behind. */
  pass(): void {
    this.#first = (this.#first + 1) | 0;
  }

  /** Puts a block at the end of the queue, which has room, and gives its number. */
  push(owner: number, slot: number): number {
    const turn = this.#next;
    const at = this.#at(turn);
    this.#words[at] = owner;
    this.#words[at + 1] = slot;
    this.#next = (turn + 1) | 0;
    return turn;
  }

  /** Makes the ring twice as large: at most 32 bytes a block that is held. */
  grow(): void {
    const before = this.#words;
    const grown = new Int32Array(Math.max(2 * QUEUE_MIN, 2 * before.length));
    for (let turn = this.#first; turn !== this.#next; turn = (turn + 1) | 0) {
      const from = this.#at(turn);
      const to = 2 * (turn & (grown.length / 2 - 1));
      grown[to] = before[from] ?? 0;
      grown[to + 1] = before[from + 1] ?? 0;
    }
    this.#words = grown;
  }

  #at(turn: number): number {
    return 2 * (turn & (this.#words.length / 2 - 1));
  }
}
