/** Whether this thread's event loop has mostly nothing to do, not counting what it does only because of that. */

import { performance } from 'node:perf_hooks';

/** What is looked back on at least. */
const WINDOW_MS = 500;

export class IdleTime {
  #since = performance.eventLoopUtilization();
  #helpedMs = 0;
  #isMost = true;

  /** As it was when somebody last asked half a second or more after the time before. */
  get isMost(): boolean {
    const now = performance.eventLoopUtilization();
    const activeMs = now.active - this.#since.active;
    const wholeMs = activeMs + now.idle - this.#since.idle;
    if (wholeMs >= WINDOW_MS) {
      this.#isMost = activeMs - this.#helpedMs < wholeMs / 2;
      this.#since = now;
      this.#helpedMs = 0;
    }
    return this.#isMost;
  }

  /** The loop was busy for so long with what it would have left alone otherwise. */
  helped(ms: number): void {
    this.#helpedMs += ms;
  }
}
