/**
 * So many bytes in flight and no more: what is being fetched and decoded has no place in the cache yet, but takes memory
 * all the same.
 *
 * First come, first served, so that a large request is not overtaken for ever. One that is larger than the whole gate
 * passes when it is alone. A group (the reads of one table) takes more only while it has less than would be left free,
 * so that one whose storage hangs does not hold up the others.
 */

interface Waiter {
  readonly bytes: number;
  readonly group: unknown;
  readonly proceed: () => void;
}

export class ByteGate {
  readonly capacityBytes: number;
  readonly #waiting = new Set<Waiter>();
  /** By group, of those that hold any. */
  readonly #usedByGroup = new Map<unknown, number>();
  #usedBytes = 0;

  constructor(capacityBytes: number) {
    this.capacityBytes = capacityBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Runs the job when there is room for its bytes. Rejects with the signal's reason when that aborts first. */
  async run<T>(bytes: number, signal: AbortSignal, job: () => Promise<T>, group?: unknown): Promise<T> {
    signal.throwIfAborted();
    if (this.#isNext(group) && this.#fits(bytes) && this.#isWithinShare(bytes, group)) this.#take(bytes, group);
    else await this.#turn(bytes, signal, group);
    try {
      return await job();
    } finally {
      this.#take(-bytes, group);
      this.#admit();
    }
  }

  #take(bytes: number, group: unknown): void {
    this.#usedBytes += bytes;
    const used = (this.#usedByGroup.get(group) ?? 0) + bytes;
    if (used > 0) this.#usedByGroup.set(group, used);
    else this.#usedByGroup.delete(group);
  }

  #fits(bytes: number): boolean {
    return this.#usedBytes === 0 || this.#usedBytes + bytes <= this.capacityBytes;
  }

  #isWithinShare(bytes: number, group: unknown): boolean {
    const used = this.#usedByGroup.get(group);
    if (group === undefined || used === undefined) return true;
    return used + bytes <= this.capacityBytes - this.#usedBytes;
  }

  /** Nobody waits that came before and is not held back by its own group. */
  #isNext(group: unknown): boolean {
    for (const waiter of this.#waiting) {
      if (waiter.group === group || this.#isWithinShare(waiter.bytes, waiter.group)) return false;
    }
    return true;
  }

  /** Resolves when the bytes have been counted in for this waiter. */
  #turn(bytes: number, signal: AbortSignal, group: unknown): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#waiting.delete(waiter);
        reject(signal.reason);
        // The next in line may fit where this one did not.
        this.#admit();
      };
      const proceed = () => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      const waiter: Waiter = { bytes, group, proceed };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.add(waiter);
    });
  }

  /** In the order they came; a group that has its share is passed over, and keeps its own order. */
  #admit(): void {
    const held = new Set<unknown>();
    for (const waiter of this.#waiting) {
      const { bytes, group } = waiter;
      if (held.has(group)) continue;
      if (!this.#isWithinShare(bytes, group)) {
        held.add(group);
        continue;
      }
      if (!this.#fits(bytes)) return;
      this.#waiting.delete(waiter);
      this.#take(bytes, group);
      waiter.proceed();
    }
  }
}
