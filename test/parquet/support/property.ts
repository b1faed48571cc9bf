/**
 * Property tests that say how to replay them: the seed is printed with a failure (fast-check does that) and taken from
 * FUZZ_SEED, the number of cases from FUZZ_RUNS.
 */

import fc from 'fast-check';

export const FUZZ_SEED = Number(process.env.FUZZ_SEED ?? Date.now() & 0x7fffffff);

export function property<Value>(arbitrary: fc.Arbitrary<Value>, check: (value: Value) => void, runs = 150): void {
  fc.assert(fc.property(arbitrary, check), { seed: FUZZ_SEED, numRuns: Number(process.env.FUZZ_RUNS ?? runs) });
}

export async function asyncProperty<Value>(
  arbitrary: fc.Arbitrary<Value>,
  check: (value: Value) => Promise<void>,
  runs = 30,
): Promise<void> {
  await fc.assert(fc.asyncProperty(arbitrary, check), {
    seed: FUZZ_SEED,
    numRuns: Number(process.env.FUZZ_RUNS ?? runs),
  });
}

/** A small generator whose state is its seed: mulberry32. */
export function randomFrom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
