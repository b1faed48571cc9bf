/** One row made of the fewest bytes of a block equals the row of the whole block, whatever the other bytes are. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Block } from '../../src/parquet/block.ts';
import { allocateBlock, allocateNestedBlock } from '../../src/parquet/block-layout.ts';
import {
  formOf,
  type PartialBytes,
  type RowOfBlock,
  rowOfBlock,
  rowOfDictionary,
} from '../../src/parquet/row-block.ts';
import { blocksOf } from './support/blocks.ts';
import { FUZZ_SEED, property, randomFrom } from './support/property.ts';

/** Shows of a block only what was asked for, and that only at the next call; the rest is noise. */
class Poisoned implements PartialBytes {
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  readonly #block: Uint8Array;
  readonly #shown: Uint8Array;
  #wanted: [number, number][] = [];

  constructor({ buffer, byteOffset, byteLength }: Block) {
    this.#block = new Uint8Array(buffer, byteOffset, byteLength);
    this.#shown = new Uint8Array(byteLength);
    this.bytes = new Uint8Array(new ArrayBuffer(byteLength)).fill(0xa5);
    this.words = new Uint32Array(this.bytes.buffer);
  }

  want(start: number, end: number): boolean {
    assert.ok(start >= 0 && start <= end && end <= this.bytes.length, `${start} to ${end} of ${this.bytes.length}`);
    if (this.#shown.subarray(start, end).every((is) => is === 1)) return true;
    this.#wanted.push([start, end]);
    return false;
  }

  /** Shows what was asked for, of which there must be something. */
  show(): void {
    assert.ok(this.#wanted.length > 0, 'nothing was asked for');
    for (const [start, end] of this.#wanted) {
      this.bytes.set(this.#block.subarray(start, end), start);
      this.#shown.fill(1, start, end);
    }
    this.#wanted = [];
  }

  get shownBytes(): number {
    return this.#shown.reduce((sum, is) => sum + is, 0);
  }
}

const STEPS_MAX = 4;

function read(block: Block, form: number, row: number): { readonly got: RowOfBlock; readonly shownBytes: number } {
  const parts = new Poisoned(block);
  for (let step = 0; ; step++) {
    const got = rowOfBlock(parts, form, block.rows, row);
    if (got.kind !== 'wants') return { got, shownBytes: parts.shownBytes };
    assert.ok(step < STEPS_MAX, 'it goes on wanting');
    parts.show();
  }
}

function hexOf(block: Block, row: number): string | null {
  return block.isNull(row) ? null : Buffer.from(block.bytesAt(row)).toString('hex');
}

/** By its form and by its header. */
function checkRows(block: Block): void {
  for (const form of [formOf(block), 0]) {
    for (let row = 0; row < block.rows; row++) {
      const { got, shownBytes } = read(block, form, row);
      const value = got.kind === 'code' && block.dictionary ? rowOfDictionary(block.dictionary, got.code) : got;
      assert.equal(value.kind, 'row');
      if (value.kind !== 'row') return;
      const alone = Block.open(value.block.buffer, value.block.byteOffset, value.block.byteLength);
      assert.equal(alone.rows, 1);
      assert.equal(hexOf(alone, 0), hexOf(block, row), `${block.kind}, row ${row}`);
      const bytes = block.kind === 'BYTES' ? block.byteLengthAt(row) + 8 : block.width;
      assert.ok(
        shownBytes <= bytes + (block.hasNulls ? 1 : 0) + (form === 0 ? 32 : 0),
        `${shownBytes} bytes were read`,
      );
    }
  }
}

const rowsOf = (value: fc.Arbitrary<Uint8Array>) =>
  fc.array(fc.option(value, { freq: 4 }), { minLength: 1, maxLength: 100 });

test('flat rows, with nulls and dictionaries, of every width', () => {
  property(fc.tuple(rowsOf(fc.uint8Array({ maxLength: 40 })), fc.boolean()), ([rows, dictionary]) =>
    blocksOf(rows, undefined, { dictionary }).blocks.forEach(checkRows),
  );
  for (const width of [1, 2, 3, 4, 8, 12, 16]) {
    const value = fc.uint8Array({ minLength: width, maxLength: width });
    const given = fc.tuple(rowsOf(value), fc.boolean());
    property(given, ([rows, dictionary]) => blocksOf(rows, width, { dictionary }).blocks.forEach(checkRows), 40);
  }
});

test('the form tells kind, width and nulls, or nothing', () => {
  const forms = new Set<number>();
  for (const kind of ['FIXED', 'BYTES', 'CODES'] as const) {
    const widths = kind === 'BYTES' ? [4] : kind === 'CODES' ? [1, 2, 4] : [1, 2, 4, 8, 16];
    for (const width of widths) {
      for (const hasNulls of [false, true]) forms.add(formOf(Block.open(allocateBlock(kind, 10, width, hasNulls, 0))));
    }
  }
  assert.equal(forms.size, 18);
  assert.ok([...forms].every((form) => form > 0 && form < 255));
  assert.equal(formOf(Block.open(allocateBlock('FIXED', 10, 12, false, 0))), 0);
});

const ROUNDS = 60;

test('rows of nested leaves, flat within or repeated', () => {
  for (let round = 0; round < ROUNDS; round++) {
    const random = randomFrom(FUZZ_SEED + round);
    const isRepeated = round % 2 === 0;
    const whole = nested(random, isRepeated, round % 3 === 0 ? undefined : 8);
    const { levels } = whole;
    for (let row = 0; row < whole.rows; row++) {
      const { got } = read(whole, formOf(whole), row);
      assert.equal(got.kind, 'row', `FUZZ_SEED=${FUZZ_SEED}, round ${round}`);
      if (got.kind !== 'row' || levels === undefined) return;
      const alone = Block.open(got.block.buffer, got.block.byteOffset, got.block.byteLength);
      const first = isRepeated ? (levels.rowStart?.[row] ?? 0) : row;
      const end = isRepeated ? (levels.rowStart?.[row + 1] ?? 0) : row + 1;
      assert.deepEqual(entriesOf(alone, 0, end - first), entriesOf(whole, first, end), `FUZZ_SEED=${FUZZ_SEED}`);
      if (isRepeated) assert.deepEqual(alone.levels?.rowStart, Uint32Array.of(0, end - first));
    }
  }
});

function nested(random: () => number, isRepeated: boolean, width: number | undefined): Block {
  const rows = 1 + Math.trunc(random() * 20);
  const counts = Array.from({ length: rows }, () => (isRepeated ? 1 + Math.trunc(random() * 6) : 1));
  const entries = counts.reduce((sum, count) => sum + count, 0);
  const values = Array.from({ length: entries }, () =>
    random() < 0.2 ? null : Uint8Array.from({ length: width ?? Math.trunc(random() * 30) }, () => random() * 256),
  );
  const [inner] = blocksOf(values, width).blocks;
  assert.ok(inner !== undefined);
  const made = allocateNestedBlock(rows, isRepeated, entries, inner.buffer as ArrayBuffer);
  const bytes = new Uint8Array(made.buffer);
  if (isRepeated) {
    const starts = new Uint32Array(made.buffer, 32, rows + 1);
    for (const [row, count] of counts.entries()) starts[row + 1] = (starts[row] ?? 0) + count;
    for (let entry = 0; entry < entries; entry++) bytes[made.repetitionStart + entry] = random() * 3;
  }
  for (let entry = 0; entry < entries; entry++) bytes[made.definitionStart + entry] = random() * 4;
  return Block.open(made.buffer);
}

function entriesOf(block: Block, first: number, end: number): unknown[] {
  const { levels } = block;
  return Array.from({ length: end - first }, (_, i) => {
    const entry = first + i;
    return [levels?.repetition[entry], levels?.definition[entry], hexOf(block, entry)];
  });
}

test('nested codes are read whole', () => {
  const [inner] = blocksOf([Uint8Array.of(1), Uint8Array.of(2), null], 1, { dictionary: true }).blocks;
  const made = allocateNestedBlock(3, false, 3, inner?.buffer as ArrayBuffer);
  assert.equal(read(Block.open(made.buffer), 0, 1).got.kind, 'whole');
});

test('a row that is not there, offsets in no order and another count of rows are corrupt', () => {
  const [block] = blocksOf([Uint8Array.of(1, 2), Uint8Array.of(3), Uint8Array.of(4)], undefined).blocks;
  assert.ok(block !== undefined);
  const all = () => {
    const bytes = Uint8Array.from(new Uint8Array(block.buffer));
    const want = (start: number, end: number) => {
      if (start > end || end > bytes.length) throw Object.assign(new Error('beyond'), { kind: 'corrupt' });
      return true;
    };
    return { bytes, words: new Uint32Array(bytes.buffer), want };
  };
  const isCorrupt = (thrown: { kind: string }) => thrown.kind === 'corrupt';
  assert.throws(() => rowOfBlock(all(), formOf(block), 3, 3), isCorrupt);
  assert.throws(() => rowOfBlock(all(), 0, 4, 0), isCorrupt);
  const damaged = all();
  damaged.words[8 + 1] = 1000;
  for (const row of [0, 1]) assert.throws(() => rowOfBlock(damaged, formOf(block), 3, row), isCorrupt);
});
