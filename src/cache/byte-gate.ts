/**
 * So many bytes in flight and no more: what is being fetched and decoded has no place in the cache yet, but takes memory
 * all the same.
 *
 * First come, first served, so that a large request is not overtaken for ever. One that is larger than the whole gate
 * passes when it is alone.
 */

interface Waiter {
  readonly bytes: number;
  readonly proceed: () => void;
}

export class ByteGate {
  readonly capacityBytes: number;
  readonly #waiting = new Set<Waiter>();
  #usedBytes = 0;

  constructor(capacityBytes: number) {
    this.capacityBytes = capacityBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Runs the job when there is room for its bytes. Rejects with the signal's reason when that aborts first. */
  async run<T>(bytes: number, signal: AbortSignal, job: () => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    if (this.#waiting.size > 0 || !this.#fits(bytes)) await this.#turn(bytes, signal);
    else this.#usedBytes += bytes;
    try {
      return await job();
    } finally {
      this.#usedBytes -= bytes;
      this.#admit();
    }
  }

  #fits(bytes: number): boolean {
    return this.#usedBytes === 0 || this.#usedBytes + bytes <= this.capacityBytes;
  }

  /** Resolves when the bytes have been counted in for this waiter. */
  #turn(bytes: number, signal: AbortSignal): Promise<void> {
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
      const waiter: Waiter = { bytes, proceed };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.add(waiter);
    });
  }

  #admit(): void {
    for (const waiter of this.#waiting) {
      if (!this.#fits(waiter.bytes)) return;
      this.#waiting.delete(waiter);
      this.#usedBytes += waiter.bytes;
      waiter.proceed();
    }
  }
}
