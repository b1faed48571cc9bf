/**
 * How long things took, counted in buckets that double: 1 ms is a bound, and so are its halves and doubles, so that a
 * promise of so many milliseconds can be read off exactly.
 *
 *     7.8 us, 15.6, 31.3, 62.5, 125, 250, 500 us, 1 ms, 2, 4 ... 32.8 s, and what took longer
 *
 * Recording is a store into a typed array and costs nanoseconds; the times are turned into text only when somebody asks.
 */

/** Bounds, all but the last bucket's, which has none. A bucket holds what is at most its bound. */
const BOUNDS = 23;
/** Of a millisecond: the first bound. */
const UNIT = 1 / 128;

export const DURATION_BOUNDS_MS: readonly number[] = Array.from({ length: BOUNDS }, (_, i) => UNIT * 2 ** i);

export class DurationHistogram {
  /** By bucket, and then the sum: all in one place. */
  readonly #values = new Float64Array(BOUNDS + 2);

  record(ms: number): void {
    const units = Math.ceil(ms / UNIT) - 1;
    const bucket = units <= 0 ? 0 : Math.min(BOUNDS, 32 - Math.clz32(Math.min(units, 0x7fffffff)));
    this.#values[bucket] = (this.#values[bucket] ?? 0) + 1;
    this.#values[BOUNDS + 1] = this.sumMs + ms;
  }

  /** What another one took. */
  add(taken: Float64Array): void {
    for (let i = 0; i < this.#values.length; i++) this.#values[i] = (this.#values[i] ?? 0) + (taken[i] ?? 0);
  }

  /** Everything recorded since this was last asked, for another one to add. */
  take(): Float64Array {
    const taken = this.#values.slice();
    this.#values.fill(0);
    return taken;
  }

  /** By bucket: how many took at most its bound and more than the one before; the last holds what took longer than all. */
  get counts(): Float64Array {
    return this.#values.subarray(0, BOUNDS + 1);
  }

  get count(): number {
    return this.counts.reduce((sum, count) => sum + count, 0);
  }

  get sumMs(): number {
    return this.#values[BOUNDS + 1] ?? 0;
  }
}
