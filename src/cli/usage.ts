/** A call that was wrong in itself: exit code 2. Anything else that fails exits with 1. */

import { ServiceError } from '../core/index.ts';

export class UsageError extends ServiceError {
  constructor(message: string) {
    super('invalid', 'usage', message);
  }
}

/** Runs a step whose `invalid` faults are the caller's wrong usage. */
export function asUsage<T>(step: () => T): T {
  try {
    return step();
  } catch (thrown) {
    throw thrown instanceof ServiceError && thrown.kind === 'invalid' ? new UsageError(thrown.message) : thrown;
  }
}

/** `a,b` to its names; a name with a comma is given by repeating the option. */
export function collectNames(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), ...value.split(',').map((name) => name.trim())];
}
