/**
 * How long reads of about this size have lately taken.
 *
 * A ring of the last durations for each class of size, since a megabyte rightly takes longer than a page. The percentile
 * is worked out anew after every few durations, not at each question: sorting a small ring costs microseconds, and a
 * request to S3 tens of milliseconds.
 */

/** Upper bounds of the classes in bytes; longer reads are a class of their own. */
const CLASS_BYTES = [64 << 10, 256 << 10, 1 << 20, 4 << 20] as const;
const RING_SIZE = 256;
/** Before so many durations are known there is no estimate, and then it is renewed each time so many more came. */
const RENEW_EVERY = 32;

interface SizeClass {
  readonly ring: Float64Array;
  recorded: number;
  percentileMs: number | undefined;
}

export class LatencyEstimate {
  readonly #percentile: number;
  readonly #classes: readonly SizeClass[] = [...CLASS_BYTES, undefined].map(() => ({
    ring: new Float64Array(RING_SIZE),
    recorded: 0,
    percentileMs: undefined,
  }));

  /** `percentile` as a share: 0.95. */
  constructor(percentile: number) {
    this.#percentile = percentile;
  }

  /** Undefined while too few reads of such a size were seen. */
  percentileMs(bytes: number): number | undefined {
    return this.#classOf(bytes).percentileMs;
  }

  record(bytes: number, durationMs: number): void {
    const sizeClass = this.#classOf(bytes);
    sizeClass.ring[sizeClass.recorded % RING_SIZE] = durationMs;
    sizeClass.recorded += 1;
    if (sizeClass.recorded % RENEW_EVERY !== 0) return;
    const sorted = sizeClass.ring.slice(0, Math.min(RING_SIZE, sizeClass.recorded)).sort();
    sizeClass.percentileMs = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * this.#percentile))];
  }

  #classOf(bytes: number): SizeClass {
    const at = CLASS_BYTES.findIndex((limit) => bytes <= limit);
    return this.#classes[at < 0 ? CLASS_BYTES.length : at] as SizeClass;
  }
}
