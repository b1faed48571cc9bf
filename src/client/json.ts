/** Integers of 64 bits across JSON, both ways, without a double in between. */

export type Int64Form = 'exact' | 'string' | 'number';

type KeyPart = string | number | bigint | boolean;

const INT64_MIN = -(2n ** 63n);
const UINT64_MAX = 2n ** 64n - 1n;

export function parseJson(text: string, int64: Int64Form): unknown {
  // A number that a double may round has 16 digits or more.
  if (int64 !== 'exact' || !/[0-9]{16}/.test(text)) return JSON.parse(text);
  return JSON.parse(text, reviveInteger);
}

/** `context.source` is the number as it was written (https://tc39.es/proposal-json-parse-with-source/). */
function reviveInteger(_name: string, value: unknown, context?: { readonly source?: string }): unknown {
  if (typeof value !== 'number' || !Number.isInteger(value) || Number.isSafeInteger(value)) return value;
  if (context?.source === undefined) {
    throw new TypeError(
      "this engine's JSON.parse does not show the source of numbers: make the client with int64: 'string'",
    );
  }
  if (!/^-?[0-9]+$/.test(context.source)) return value;
  const integer = BigInt(context.source);
  return integer >= INT64_MIN && integer <= UINT64_MAX ? integer : value;
}

/** A key part as text, in the form that the server takes. */
export function writeKey(part: KeyPart): string {
  if (typeof part === 'number' && Number.isInteger(part) && !Number.isSafeInteger(part)) {
    throw new TypeError(
      `${part} is beyond the integers that a number holds exactly: give the key as a bigint or a string`,
    );
  }
  return Object.is(part, -0) ? '-0' : String(part);
}

export function writeKeyJson(key: KeyPart | readonly KeyPart[]): string {
  if (typeof key === 'object') return `[${key.map(writeKeyJson).join(',')}]`;
  const isNumber = typeof key === 'bigint' || (typeof key === 'number' && Number.isFinite(key));
  return isNumber || typeof key === 'boolean' ? writeKey(key) : JSON.stringify(writeKey(key));
}
