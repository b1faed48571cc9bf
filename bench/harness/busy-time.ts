/** How much of one core a process used, from Linux's `/proc/PID/stat`, in ticks of 10 ms. */

import { readFileSync } from 'node:fs';

const ticksPerSecond = 100;

export class BusyTime {
  readonly #pid: number;
  readonly #startedMs = performance.now();
  readonly #startedTicks: number;
  /** Share of one core from the making of this object to the last sample. */
  share = Number.NaN;
  /** Processor time between the two. */
  cpuSeconds = Number.NaN;

  constructor(pid: number) {
    this.#pid = pid;
    this.#startedTicks = this.#ticks();
  }

  sample(): void {
    const seconds = (performance.now() - this.#startedMs) / 1000;
    this.cpuSeconds = (this.#ticks() - this.#startedTicks) / ticksPerSecond;
    this.share = this.cpuSeconds / seconds;
  }

  /** utime and stime are the 14th and 15th field; the 2nd is a name in parentheses that may hold spaces. */
  #ticks(): number {
    const stat = readFileSync(`/proc/${this.#pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return Number(fields[11]) + Number(fields[12]);
  }
}
