/** Documents from a kilobyte to beyond what is served, and how to tell that one came whole. */

import { createHash } from 'node:crypto';
import { writeParquet } from './scratch.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Around every bound on the way: copied or streamed, block, slice, row, value. */
export const SIZES: readonly number[] = [
  1 * KIB,
  32 * KIB,
  64 * KIB,
  64 * KIB + 1,
  100 * KIB,
  256 * KIB + 1,
  1 * MIB,
  1 * MIB + 1,
  5 * MIB,
  16 * MIB,
  32 * MIB,
  32 * MIB + 1,
  31 * MIB,
];

const FILLER = 'größer und größer '.repeat(200);

/** Text of so many bytes of UTF-8, different for each id and at each of its lines of about 4 KiB. */
export function documentOf(id: number, bytes: number): string {
  const line = (at: number) => `${id}:${at.toString(36).padStart(9, '0')} ${FILLER}\n`;
  const lineBytes = Buffer.byteLength(line(0));
  const lines: string[] = [];
  for (let at = 0; at + lineBytes <= bytes; at += lineBytes) lines.push(line(at));
  return lines.join('') + 'x'.repeat(bytes % lineBytes);
}

export function digestOf(bytes: string | Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** A row an id, by `SIZES`; `raw` is the same as bytes, up to 5 MiB. Gives the digests of the texts by id. */
export function writeDocuments(path: string): readonly string[] {
  const texts = SIZES.map((bytes, id) => documentOf(id, bytes));
  writeParquet(
    path,
    [
      { name: 'id', data: texts.map((_, id) => id), type: 'INT32', nullable: false },
      { name: 'text', data: texts, type: 'STRING', encoding: 'PLAIN' },
      {
        name: 'raw',
        data: texts.map((text, id) => ((SIZES[id] ?? 0) > 5 * MIB ? null : Buffer.from(text))),
        type: 'BYTE_ARRAY',
        encoding: 'PLAIN',
      },
      { name: 'words', data: texts.map((text, id) => (id === 8 ? [text] : ['a', 'b'])), type: 'JSON' },
    ],
    { rowsPerRowGroup: 4 },
  );
  return texts.map(digestOf);
}
