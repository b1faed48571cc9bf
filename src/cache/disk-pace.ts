/**
 * Whether the next read of the disk tier may hold up the event loop, and whose turn it is.
 *
 * Bytes in the page cache come in microseconds, and a thread hop costs more than they do; bytes that a device must fetch
 * take too long to wait for. Nothing says beforehand which it will be, so the last reads tell: two slow ones near each
 * other send the next to threads, then one is tried again, and as long as that is slow, ever more seldom. A single slow
 * one is more often the doing of other processes than of the disk.
 *
 * What may be read at once is still bounded for each turn of the event loop: whoever comes later has the next turn, after
 * the sockets were looked at, since fast reads in threads would cost all requests more than the wait costs one.
 */

/** Slower than any read from the page cache, faster than most devices. */
const SLOW_MS = 0.25;
/** Fast reads after which a slow one is forgotten. */
const NEAR_READS = 16;
const ASIDE_MIN = 32;
const ASIDE_MAX = 4096;
/** Synchronous reads of one turn of the event loop. */
const TURN_MS_MAX = 1;

export class ReadPace {
  /** Reads that still go to threads. */
  #aside = 0;
  #nextAside = ASIDE_MIN;
  #readsSinceSlow = NEAR_READS;
  #turnMs = 0;
  #isTurnKnown = false;
  /** Lookups that have the next turns, one entry each; how many wait, those who ask bound. */
  readonly #waiting: (() => void)[] = [];

  /** Lookups that have to wait for a turn of the event loop. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Asks for one read: true to read at once, false to wait for a thread. */
  mayHoldUp(): boolean {
    if (this.#aside === 0) return true;
    this.#aside -= 1;
    return false;
  }

  /** Whether this turn of the event loop has read at once for as long as it may. */
  get isTurnOver(): boolean {
    return this.#turnMs >= TURN_MS_MAX;
  }

  /** Whether who begins to read now waits for nothing. */
  get readsAtOnce(): boolean {
    return this.#aside === 0 && !this.isTurnOver;
  }

  /** Undefined where reading may go on now; else resolves in a turn where it may. */
  turn(): Promise<void> | undefined {
    return this.#mayReadNow ? undefined : new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Calls `work`, which does not throw: now where reading may go on now, else in a turn where it may, after all who came before. */
  inTurn(work: () => void): void {
    if (this.#mayReadNow) work();
    else this.#waiting.push(work);
  }

  /** In this turn, or by a thread. */
  get #mayReadNow(): boolean {
    return !this.isTurnOver || this.#aside > 0;
  }

  tookAtOnce(ms: number): void {
    this.#turnMs += ms;
    if (!this.#isTurnKnown) {
      this.#isTurnKnown = true;
      setImmediate(() => this.#endTurn());
    }
    if (ms <= SLOW_MS) {
      this.#nextAside = ASIDE_MIN;
      this.#readsSinceSlow += 1;
      return;
    }
    const isNear = this.#readsSinceSlow < NEAR_READS;
    this.#readsSinceSlow = 0;
    if (!isNear) return;
    this.#aside = this.#nextAside;
    this.#nextAside = Math.min(ASIDE_MAX, this.#nextAside * 2);
  }

  #endTurn(): void {
    this.#turnMs = 0;
    this.#isTurnKnown = false;
    this.#wake();
  }

  /** One after another, as long as what they read leaves time; the rest when this turn has ended as well. */
  #wake(): void {
    const next = this.#waiting.shift();
    if (next === undefined) return;
    next();
    // What `next` set going runs before this.
    queueMicrotask(() => {
      if (this.#turnMs < TURN_MS_MAX) this.#wake();
    });
  }
}
