/**
 * How batches share the event loop with single lookups: all of them together work for about a millisecond of each of its
 * turns, and who comes later in a turn waits for the next one, first come first served.
 *
 * A batch that is all in memory would else be answered in one stretch however many keys it has, and those that arrived
 * together one after the other, while single rows wait behind them all.
 */

/** Of one turn of the event loop, for all batches together. */
const TURN_MS = 1;

export class BatchTurns {
  /** At most the keys of all batches under way, which the server bounds. */
  readonly #waiting: (() => void)[] = [];
  #spentMs = 0;
  #isArmed = false;

  /** Undefined where this turn has time left; who works then or after the wait says with `spent` for how long. */
  next(): Promise<void> | undefined {
    if (this.#spentMs < TURN_MS && this.#waiting.length === 0) return undefined;
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#arm();
    });
  }

  /** Whether a stretch of work that began then has used up what the turn had left. */
  isOver(startedMs: number): boolean {
    return this.#spentMs + performance.now() - startedMs >= TURN_MS;
  }

  spent(startedMs: number): void {
    this.#spentMs += performance.now() - startedMs;
    this.#arm();
    if (this.#spentMs < TURN_MS) this.#waiting.shift()?.();
  }

  #arm(): void {
    if (this.#isArmed) return;
    this.#isArmed = true;
    setImmediate(() => {
      this.#isArmed = false;
      this.#spentMs = 0;
      this.#waiting.shift()?.();
      if (this.#waiting.length > 0) this.#arm();
    });
  }
}
