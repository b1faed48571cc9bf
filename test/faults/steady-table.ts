/** A table that does not change while all around it breaks: even ids are there, odd ones are not, and every row is known. */

import assert from 'node:assert/strict';
import type { Asker } from '../support/ask.ts';
import { type FixtureOptions, parquetBytes } from '../support/scratch.ts';

export const ROWS = 20_000;

export function rowOf(id: number) {
  return { id, kind: `kind ${id % 9}`, score: Math.sin(id), text: `text of ${id} ${'.'.repeat(id % 70)}` };
}

export function steadyBytes(options: FixtureOptions = {}): Buffer {
  const rows = Array.from({ length: ROWS }, (_, i) => rowOf(i * 2));
  return parquetBytes(
    [
      { name: 'id', data: rows.map((row) => row.id), type: 'INT32', encoding: 'PLAIN', nullable: false },
      { name: 'kind', data: rows.map((row) => row.kind), type: 'STRING' },
      { name: 'score', data: rows.map((row) => row.score), type: 'DOUBLE', encoding: 'PLAIN' },
      { name: 'text', data: rows.map((row) => row.text), type: 'STRING', encoding: 'PLAIN' },
    ],
    { rowsPerRowGroup: 5000, pageBytes: 4096, ...options },
  );
}

/** Asks for a row that is there, or for one that is not, and holds the answer to it; tells the tier it came from. */
export async function askSteady(asker: Asker, table: string, number: number): Promise<string> {
  const id = number % (ROWS * 2);
  const answer = await asker.ask(`/v1/tables/${table}/rows/${id}`);
  if (id % 2 === 1) assert.equal(answer.status, 404, `${table}/${id}: ${answer.text}`);
  else assert.equal(answer.text, JSON.stringify(rowOf(id)), `${table}/${id}: ${answer.status}`);
  return String(answer.headers['pointlake-cache']);
}
