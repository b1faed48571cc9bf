/**
 * Holds answers over HTTP against a plain full read of the same file by a reader that is not ours, so that a bench
 * never times wrong answers. The digest depends on the data and the seed only: two runs that print the same one
 * answered the same.
 */

import { createHash } from 'node:crypto';
import { asyncBufferFromFile, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';

/** Compares the rows of `count` keys that a small generator draws from 1 to `lastKey`; returns a digest of all. */
export async function compareAnswers(
  rowUrl: string,
  filePath: string,
  keyColumn: string,
  lastKey: number,
  count: number,
): Promise<string> {
  const rows = await parquetReadObjects({ file: await asyncBufferFromFile(filePath), compressors });
  const byKey = new Map(rows.map((row) => [String(row[keyColumn]), row]));
  const [answered, expected] = [createHash('sha256'), createHash('sha256')];
  for (const key of drawKeys(lastKey, count)) {
    const answer = await fetch(`${rowUrl}${key}`);
    const text = canonical(await answer.json());
    const plain = canonical(byKey.get(String(key)));
    if (answer.status !== 200 || text !== plain) {
      throw new Error(`key ${key} answered ${answer.status} ${text}, a plain read gives ${plain}`);
    }
    answered.update(text);
    expected.update(plain);
  }
  const digest = answered.digest('hex');
  if (digest !== expected.digest('hex')) throw new Error('the digests of answers and plain read differ');
  return digest.slice(0, 16);
}

/** A linear congruential generator: the same keys on every machine. */
function* drawKeys(lastKey: number, count: number): Generator<number> {
  let state = 20_261_123;
  for (let i = 0; i < count; i++) {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    yield (state % lastKey) + 1;
  }
}

/** One text for equal rows whatever the order of their columns; INT64 as a number, which the keys here fit. */
function canonical(row: unknown): string {
  const entries = Object.entries((row ?? {}) as Record<string, unknown>).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify(entries, (_, value: unknown) => (typeof value === 'bigint' ? Number(value) : value));
}
