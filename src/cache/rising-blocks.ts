/**
 * Whether memory that is full gains by one more block that could be read in parts where it is.
 *
 * It does while blocks that came before it were read in the probation, and while what leaves the main log for it was not. Where
 * all is read about as often, one for another gains nothing; a sample rises then, by which it is seen when that has changed.
 */

import { SampledAdmission } from './sampled-admission.ts';

/** Of blocks whose turn to leave came, the shares by which fewer or more rise, and the least samples. */
const WORTH_SHARE_LOW = 1 / 4;
const WORTH_SHARE_HIGH = 1 / 2;
const READ_MIN = 1 / 64;
const REPLACING_MIN = 1 / 16;

export class RisingBlocks {
  /** By what was read of the probation. */
  readonly #read = new SampledAdmission(WORTH_SHARE_LOW, WORTH_SHARE_HIGH, READ_MIN);
  /** By what was not read of the main log. */
  readonly #replacing = new SampledAdmission(WORTH_SHARE_LOW, WORTH_SHARE_HIGH, REPLACING_MIN);

  /** A block's turn to leave came. */
  judge(log: 'probation' | 'main', wasRead: boolean): void {
    if (log === 'probation') this.#read.judge(wasRead);
    else this.#replacing.judge(!wasRead);
  }

  /** Whether the next one rises. */
  isSampled(): boolean {
    const stricter = this.#replacing.sampled < this.#read.sampled ? this.#replacing : this.#read;
    return stricter.isSampled();
  }
}
