/**
 * Whether the next read of the disk tier may hold up the event loop.
 *
 * Bytes in the page cache come in microseconds, and a thread hop costs more than they do; bytes that a device must fetch
 * take too long to wait for. Nothing says beforehand which it will be, so the last reads tell: a synchronous one that was
 * slow sends the next ones to threads, then one is tried again, and as long as that is slow, ever more seldom.
 */

/** Slower than any read from the page cache, faster than most devices. */
const SLOW_MS = 0.25;
const ASIDE_MIN = 32;
const ASIDE_MAX = 4096;
/** Synchronous reads of one turn of the event loop. */
const TURN_MS_MAX = 1;

export class ReadPace {
  /** Reads that still go to threads. */
  #aside = 0;
  #nextAside = ASIDE_MIN;
  #turnMs = 0;
  #isTurnKnown = false;

  /** Asks for one read: true to read at once, false to wait for it. */
  mayHoldUp(): boolean {
    if (this.#aside > 0) {
      this.#aside -= 1;
      return false;
    }
    return this.#turnMs < TURN_MS_MAX;
  }

  tookAtOnce(ms: number): void {
    this.#turnMs += ms;
    if (!this.#isTurnKnown) {
      this.#isTurnKnown = true;
      setImmediate(() => {
        this.#turnMs = 0;
        this.#isTurnKnown = false;
      });
    }
    if (ms <= SLOW_MS) {
      this.#nextAside = ASIDE_MIN;
      return;
    }
    this.#aside = this.#nextAside;
    this.#nextAside = Math.min(ASIDE_MAX, this.#nextAside * 2);
  }
}
