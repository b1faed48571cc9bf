/** Blocks made from plain values, for tests that need no page. */

import { Block } from '../../../src/parquet/block.ts';
import { cutBlocks, wholeBlock } from '../../../src/parquet/block-writer.ts';
import type { BytesValues, DenseValues, FixedValues } from '../../../src/parquet/encodings/dense-values.ts';
import type { Validity } from '../../../src/parquet/levels.ts';
import type { LeafColumn, LogicalType, PhysicalType } from '../../../src/parquet/schema.ts';

export function leafOf(
  physicalType: PhysicalType,
  logicalType: LogicalType = { kind: 'NONE' },
  typeLength = 0,
): LeafColumn {
  return {
    ordinal: 0,
    path: ['c'],
    name: 'c',
    physicalType,
    typeLength,
    logicalType,
    maxDefinitionLevel: 1,
    maxRepetitionLevel: 0,
  };
}

/** Stored bytes, one element a value, as FIXED or BYTES values. */
export function denseOf(
  stored: readonly Uint8Array[],
  width: number | undefined,
  gap: 0 | 4 = 0,
): FixedValues | BytesValues {
  const count = stored.length;
  if (width !== undefined) return { kind: 'FIXED', count, width, data: Buffer.concat(stored) };
  const filler = Buffer.alloc(gap, 0xee);
  const offsets = new Uint32Array(count + 1);
  let position = gap;
  stored.forEach((value, i) => {
    offsets[i] = position;
    position += value.length + gap;
  });
  offsets[count] = position;
  return { kind: 'BYTES', count, data: Buffer.concat(stored.flatMap((value) => [filler, value])), offsets, gap };
}

export function validityOf(present: readonly boolean[]): Validity {
  const valid = present.filter(Boolean).length;
  if (valid === present.length) return { bitmap: undefined, valid };
  const bitmap = new Uint8Array(Math.ceil(present.length / 8));
  present.forEach((is, i) => {
    if (is) bitmap[i >>> 3]! |= 1 << (i & 7);
  });
  return { bitmap, valid };
}

/** Blocks of rows given as stored bytes, null where a row is null. */
export function blocksOf(
  rows: ReadonlyArray<Uint8Array | null>,
  width: number | undefined,
  options: { readonly dictionary?: boolean; readonly blockBytes?: number; readonly gap?: 0 | 4 } = {},
): { readonly blocks: Block[]; readonly shift: number } {
  const stored = rows.filter((row) => row !== null);
  const validity = validityOf(rows.map((row) => row !== null));
  let dense: DenseValues = denseOf(stored, width, options.gap);
  let dictionary: Block | undefined;
  if (options.dictionary) {
    const texts = stored.map((value) => Buffer.from(value).toString('latin1'));
    const distinct = [...new Set(texts)];
    dictionary = Block.open(
      wholeBlock(
        denseOf(
          distinct.map((text) => Buffer.from(text, 'latin1')),
          width,
        ),
      ),
    );
    const codeOf = new Map(distinct.map((text, code) => [text, code]));
    const codes = Uint32Array.from(texts, (text) => codeOf.get(text)!);
    dense = { kind: 'CODES', count: codes.length, codes, dictionaryRows: distinct.length };
  }
  const page = cutBlocks(dense, validity, rows.length, options.blockBytes ?? 2 ** 30);
  const blocks = page.blocks.map((buffer) => Block.open(buffer));
  for (const block of blocks) if (block.kind === 'CODES') block.dictionary = dictionary;
  return { blocks, shift: page.shift };
}
