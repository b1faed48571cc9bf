/**
 * How much a run takes of what is random or killed again and again: a part, another one with each seed, so that the suite
 * leaves time for the rest; all of it where POINTLAKE_LONG=1 says so (`npm test -- --long`).
 */

export const isLong = process.env.POINTLAKE_LONG === '1';

export function sampled(few: number, all: number): number {
  return isLong ? all : few;
}
