/**
 * Holds answers over HTTP against what another reader reads in the same file, so that a bench never times wrong answers. The
 * digest depends on the data and the seed only: two runs that print the same one answered the same.
 */

import { createHash } from 'node:crypto';
import { canonical, type Row } from '../peers/table.ts';
import { randomNumbers } from './access-traces.ts';

const SEED = 20_261_123;

/** The same keys on every machine. */
export function comparedKeys(lastKey: number, count: number): readonly number[] {
  const random = randomNumbers(SEED);
  return [...new Set(Array.from({ length: count }, () => (random() % lastKey) + 1))];
}

/** `answered` says what a server has of a key. A digest of all, in the order of the keys: readers give rows in any. */
export async function compareAnswers(
  expected: ReadonlyMap<number, Row>,
  answered: (key: number) => Promise<Row>,
  columns?: readonly string[],
): Promise<string> {
  const hash = createHash('sha256');
  for (const [key, row] of [...expected].sort(([a], [b]) => a - b)) {
    const plain = canonical(columns === undefined ? row : Object.fromEntries(columns.map((name) => [name, row[name]])));
    const text = canonical(await answered(key));
    if (text !== plain) throw new Error(`key ${key} answered ${text}, a plain read gives ${plain}`);
    hash.update(text);
  }
  return hash.digest('hex').slice(0, 16);
}

export async function fetchedRow(url: string): Promise<Row> {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}: ${await answer.text()}`);
  return (await answer.json()) as Row;
}
