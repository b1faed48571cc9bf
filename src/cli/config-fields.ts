/** Fields that several parts of the configuration have: sizes, times, shares, types of columns. */

import { z } from 'zod';
import { parseByteSize, parseDuration } from '../core/index.ts';
import { COLUMN_TYPE_NAMES, parseColumnType } from '../table/index.ts';

export const byteSize = z
  .union([z.string(), z.number()])
  .transform((text, context) => unit(() => parseByteSize(text), context));

export const duration = z
  .union([z.string(), z.number()])
  .transform((text, context) => unit(() => parseDuration(text), context));

/** As `20%`. */
export const share = z
  .string({ error: 'expected a share from 0% to 100%, such as 20%' })
  .regex(/^(100(\.0*)?|[0-9]{1,2}(\.[0-9]+)?)%$/, 'expected a share from 0% to 100%, such as 20%')
  .transform((text) => Number(text.slice(0, -1)) / 100);

export const columnType = z.string().transform((text, context) => {
  const type = parseColumnType(text);
  if (type !== undefined) return type;
  context.addIssue({
    code: 'custom',
    message: `${JSON.stringify(text)} is no type; expected ${COLUMN_TYPE_NAMES}`,
  });
  return z.NEVER;
});

/** Without the keys that were not given, so that their defaults stand. */
export function definedOnly<T extends object>(given: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: NonNullable<T[K]>;
  };
}

export function refuse(context: z.RefinementCtx, path: string[], message: string): void {
  context.addIssue({ code: 'custom', path, message });
}

function unit(read: () => number, context: z.RefinementCtx): number {
  try {
    return read();
  } catch (thrown) {
    context.addIssue({ code: 'custom', message: (thrown as Error).message });
    return z.NEVER;
  }
}
