/** Goals beside what was measured: each is held to the median of its rounds, and all are told, missed or not. */

import { range, spread } from './rounds.ts';

interface Goal {
  readonly what: string;
  readonly measured: string;
  readonly wanted: string;
  readonly isMet: boolean;
}

export class Goals {
  readonly #goals: Goal[] = [];

  /** A stretch that is missed, and what is beside it, are told and nothing else. */
  atLeast(what: string, values: readonly number[], least: number, stretch?: number, beside = ''): void {
    const { median } = spread(values);
    const beyond = stretch === undefined ? '' : ` (stretch ${stretch}: ${median >= stretch ? 'met' : 'not met'})`;
    this.#goals.push({
      what,
      measured: range(values, 2) + beside,
      wanted: `at least ${least}${beyond}`,
      isMet: median >= least,
    });
  }

  atMost(what: string, values: readonly number[], most: number, digits = 2): void {
    const isMet = spread(values).median <= most;
    this.#goals.push({ what, measured: range(values, digits), wanted: `at most ${most}`, isMet });
  }

  /** One that could not be measured counts as missed. */
  notMeasured(what: string, why: string): void {
    this.#goals.push({ what, measured: `not measured: ${why}`, wanted: 'measured', isMet: false });
  }

  /** Prints all; unless `isSmall`, where figures mean little, a goal that is missed fails the process. */
  report(isSmall: boolean): void {
    console.log('goals: median [min to max] of the rounds');
    for (const { what, measured, wanted, isMet } of this.#goals)
      console.log(`${isMet ? 'ok    ' : 'missed'} ${what}: ${measured}, ${wanted}`);
    const missed = this.#goals.filter(({ isMet }) => !isMet);
    if (isSmall) console.log('(a small run shows that it works; it is held to none of these)');
    if (missed.length === 0 || isSmall) return;
    for (const { what, measured, wanted } of missed) console.log(`MISSED: ${what}: ${measured}, ${wanted}`);
    process.exitCode = 1;
  }
}
