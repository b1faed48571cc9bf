/** Counts what goes wrong with the disk tier and logs it once a minute: a full disk fails thousands of writes. */

import type { Clock } from '../core/index.ts';

const LOG_EVERY_MS = 60_000;

export class DiskFaults {
  readonly #clock: Clock;
  readonly #log: (line: string) => void;
  #count = 0;
  #unlogged = 0;
  #loggedAtMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, log: (line: string) => void) {
    this.#clock = clock;
    this.#log = log;
  }

  get count(): number {
    return this.#count;
  }

  add(what: string, thrown: unknown): void {
    this.#count += 1;
    this.#unlogged += 1;
    const now = this.#clock.nowMs();
    if (now - this.#loggedAtMs < LOG_EVERY_MS) return;
    const times = this.#unlogged > 1 ? ` (${this.#unlogged} faults since the last line)` : '';
    this.#log(`disk cache: ${what}: ${thrown instanceof Error ? thrown.message : String(thrown)}${times}`);
    this.#loggedAtMs = now;
    this.#unlogged = 0;
  }
}
