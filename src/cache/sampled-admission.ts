/**
 * How many of those that come are worth taking in, by how many of those that leave were read while they stayed.
 *
 * Where few were, only a sample of the next is taken in, and from how that fares it is seen when more are worth it again.
 */

/** Those that leave, after which the sample is judged. */
const JUDGED = 256;
const SAMPLED_MIN = 1 / 64;

export class SampledAdmission {
  readonly #lowShare: number;
  readonly #highShare: number;
  /** Of those that come, the share that is taken in. */
  #sampled = 1;
  /** What is left over of samples; one is taken in when it comes to 1. */
  #sampling = 0;
  #judged = 0;
  #read = 0;

  /** With a smaller share of them read, half as many are taken in; with a larger one than `highShare`, twice as many. */
  constructor(lowShare: number, highShare: number) {
    this.#lowShare = lowShare;
    this.#highShare = highShare;
  }

  /** Whether the next one is taken in. */
  isSampled(): boolean {
    this.#sampling += this.#sampled;
    if (this.#sampling < 1) return false;
    this.#sampling -= 1;
    return true;
  }

  /** Of one that leaves. */
  judge(wasRead: boolean): void {
    this.#judged += 1;
    if (wasRead) this.#read += 1;
    if (this.#judged < JUDGED) return;
    const share = this.#read / this.#judged;
    if (share < this.#lowShare) this.#sampled = Math.max(SAMPLED_MIN, this.#sampled / 2);
    else if (share > this.#highShare) this.#sampled = Math.min(1, this.#sampled * 2);
    this.#judged = 0;
    this.#read = 0;
  }
}
