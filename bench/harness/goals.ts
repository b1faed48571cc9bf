/** Goals beside what was measured: each is held to the median of its rounds, and all are told, missed or not. */

import { range, spread } from './rounds.ts';

interface Goal {
  readonly what: string;
  readonly measured: string;
  readonly wanted: string;
  /** Unsure where other work on the machine had more to do with the figure than the server. */
  readonly state: 'ok' | 'missed' | 'unsure';
}

/** What is told beside a figure. */
export interface Beside {
  /** One that is missed is told and nothing else. */
  readonly stretch?: number | undefined;
  readonly note?: string;
  /** Why the figure proves nothing; undefined where it does. */
  readonly disturbed?: string | undefined;
  readonly digits?: number;
}

export class Goals {
  readonly #goals: Goal[] = [];

  atLeast(what: string, values: readonly number[], least: number, beside: Beside = {}): void {
    const { median } = spread(values);
    const { stretch } = beside;
    const beyond = stretch === undefined ? '' : ` (stretch ${stretch}: ${median >= stretch ? 'met' : 'not met'})`;
    this.#add(what, values, `at least ${least}${beyond}`, median >= least, beside);
  }

  atMost(what: string, values: readonly number[], most: number, beside: Beside = {}): void {
    this.#add(what, values, `at most ${most}`, spread(values).median <= most, beside);
  }

  notMeasured(what: string, why: string): void {
    this.#goals.push({ what, measured: `not measured: ${why}`, wanted: 'wanted', state: 'missed' });
  }

  /** Prints all; unless `isSmall`, where figures mean little, one that is missed or not proved fails the process. */
  report(isSmall: boolean): void {
    console.log('goals: median [min to max] of the rounds');
    for (const { what, measured, wanted, state } of this.#goals)
      console.log(`${state.padEnd(6)} ${what}: ${measured}, ${wanted}`);
    if (isSmall) console.log('(a small run shows that it works; it is held to none of these)');
    const failed = this.#goals.filter(({ state }) => state !== 'ok');
    if (failed.length === 0 || isSmall) return;
    for (const { what, measured, wanted, state } of failed)
      console.log(`${state === 'missed' ? 'MISSED' : 'NOT PROVED'}: ${what}: ${measured}, ${wanted}`);
    process.exitCode = 1;
  }

  #add(what: string, values: readonly number[], wanted: string, isMet: boolean, beside: Beside): void {
    const { note = '', disturbed, digits = 2 } = beside;
    const why = disturbed === undefined ? '' : ` (${disturbed})`;
    const state = disturbed !== undefined ? 'unsure' : isMet ? 'ok' : 'missed';
    this.#goals.push({ what, measured: `${range(values, digits)}${note}${why}`, wanted, state });
  }
}
