/**
 * How many of those that come are worth taking in, by how those before them fared.
 *
 * Where few of them were worth it, only a sample of the next is taken in, and from how that fares it is seen when more are
 * worth it again.
 */

/** Verdicts after which the sample changes. */
const JUDGED = 256;

export class SampledAdmission {
  readonly #lowShare: number;
  readonly #highShare: number;
  readonly #sampledMin: number;
  #sampled = 1;
  /** What is left over of samples; one is taken in when it comes to 1. */
  #sampling = 0;
  #judged = 0;
  #worth = 0;

  /** Where a smaller share was worth it, half as many are taken in, at least `sampledMin`; where more than `highShare`, twice as many. */
  constructor(lowShare: number, highShare: number, sampledMin: number) {
    this.#lowShare = lowShare;
    this.#highShare = highShare;
    this.#sampledMin = sampledMin;
  }

  /** Of those that come, the share that is taken in. */
  get sampled(): number {
    return this.#sampled;
  }

  /** Whether the next one is taken in. */
  isSampled(): boolean {
    this.#sampling += this.#sampled;
    if (this.#sampling < 1) return false;
    this.#sampling -= 1;
    return true;
  }

  /** Of one that was taken in, or of what it would have replaced. */
  judge(isWorth: boolean): void {
    this.#judged += 1;
    if (isWorth) this.#worth += 1;
    if (this.#judged < JUDGED) return;
    const share = this.#worth / this.#judged;
    if (share < this.#lowShare) this.#sampled = Math.max(this.#sampledMin, this.#sampled / 2);
    else if (share > this.#highShare) this.#sampled = Math.min(1, this.#sampled * 2);
    this.#judged = 0;
    this.#worth = 0;
  }
}
