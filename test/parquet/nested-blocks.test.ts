/** NESTED blocks: what they hold, that they can lie anywhere and be sealed, and that a damaged one is refused. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Block } from '../../src/parquet/block.ts';
import { sealBlock, verifyBlock } from '../../src/parquet/block-layout.ts';
import { decodeDataPage } from '../../src/parquet/page-decode.ts';
import type { LeafColumn } from '../../src/parquet/schema.ts';
import { packBits } from './support/encoders.ts';
import { ThriftWriter } from './support/thrift-writer.ts';

const LEAF: LeafColumn = {
  ordinal: 0,
  path: ['l', 'list', 'element'],
  name: 'l.list.element',
  physicalType: 'INT32',
  typeLength: 0,
  logicalType: { kind: 'NONE' },
  maxDefinitionLevel: 3,
  maxRepetitionLevel: 1,
};

/** [1, null], null, [], [2, 3, 4] */
const REPETITION = [0, 1, 0, 0, 0, 1, 1];
const DEFINITION = [3, 2, 0, 1, 3, 3, 3];
const VALUES = [1, 2, 3, 4];

/** One bit-packed run, in a v2 page. */
function page(repetition: readonly number[], definition: readonly number[], values: readonly number[], rows: number) {
  const run = (levels: readonly number[], bits: number) => {
    const groups = Math.ceil(levels.length / 8);
    const padded = [...levels, ...new Array<number>(groups * 8 - levels.length).fill(0)];
    return Uint8Array.from([(groups << 1) | 1, ...packBits(padded.map(BigInt), bits)]);
  };
  const [r, d] = [run(repetition, 1), run(definition, 2)];
  const body = Buffer.concat([r, d, new Uint8Array(Int32Array.from(values).buffer)]);
  const writer = new ThriftWriter();
  writer.structElement(() => {
    writer.int32(1, 3).int32(2, body.length).int32(3, body.length);
    writer.struct(8, () => {
      writer
        .int32(1, repetition.length)
        .int32(2, repetition.length - values.length)
        .int32(3, rows)
        .int32(4, 0);
      writer.int32(5, d.length).int32(6, r.length).boolean(7, false);
    });
  });
  return Buffer.concat([writer.take(), body]);
}

function decode(bytes: Uint8Array, blockBytes: number, expectedRows: number | undefined, leaf = LEAF) {
  return decodeDataPage(bytes, {
    leaf,
    codec: 'UNCOMPRESSED',
    dictionaryRows: undefined,
    expectedRows,
    verifyCrc: true,
    blockBytes,
    maxPageBytes: 2 ** 20,
  });
}

/** Each row's entries as [repetition, definition, value]. */
function entriesOf(block: Block): unknown[][] {
  const { levels } = block;
  assert.ok(levels?.rowStart);
  const rows: unknown[][] = [];
  for (let row = 0; row < block.rows; row += 1) {
    const entries: unknown[] = [];
    for (let e = levels.rowStart[row]!; e < levels.rowStart[row + 1]!; e += 1) {
      entries.push([levels.repetition[e], levels.definition[e], block.isNull(e) ? null : block.int32At(e)]);
    }
    rows.push(entries);
  }
  return rows;
}

const ROWS = [
  [
    [0, 3, 1],
    [1, 2, null],
  ],
  [[0, 0, null]],
  [[0, 1, null]],
  [
    [0, 3, 2],
    [1, 3, 3],
    [1, 3, 4],
  ],
];

test('a page becomes blocks of whole rows, whatever their size', () => {
  const bytes = page(REPETITION, DEFINITION, VALUES, 4);
  for (const [blockBytes, blocks] of [
    [2 ** 15, 1],
    [28, 2],
    [8, 4],
  ] as const) {
    const decoded = decode(bytes, blockBytes, 4);
    assert.equal(decoded.rows, 4);
    assert.equal(decoded.blocks.length, blocks);
    assert.deepEqual(
      decoded.blocks.flatMap((buffer) => entriesOf(Block.open(buffer))),
      ROWS,
    );
  }
});

test('a leaf that is not repeated has an entry a row', () => {
  const leaf = { ...LEAF, maxRepetitionLevel: 0 };
  const body = page([], DEFINITION, VALUES, 7);
  // The page above has no repetition levels at all, but says how many values there are by its definition levels.
  assert.throws(() => decode(body, 100, 7, leaf), { kind: 'corrupt' });
  const decoded = decode(flatPage(), 2 ** 15, 7, leaf);
  const block = Block.open(decoded.blocks[0]!);
  assert.equal(block.rows, 7);
  assert.equal(block.levels?.rowStart, undefined);
  assert.deepEqual([...(block.levels?.definition ?? [])], DEFINITION);
  assert.deepEqual(
    DEFINITION.map((_, row) => (block.isNull(row) ? null : block.int32At(row))),
    [1, null, null, null, 2, 3, 4],
  );
});

/** The same definition levels in a v2 page without repetition levels. */
function flatPage(): Uint8Array {
  const d = Uint8Array.from([3, ...packBits([...DEFINITION, 0].map(BigInt), 2)]);
  const body = Buffer.concat([d, new Uint8Array(Int32Array.from(VALUES).buffer)]);
  const writer = new ThriftWriter();
  writer.structElement(() => {
    writer.int32(1, 3).int32(2, body.length).int32(3, body.length);
    writer.struct(8, () => {
      writer.int32(1, 7).int32(2, 3).int32(3, 7).int32(4, 0).int32(5, d.length).int32(6, 0).boolean(7, false);
    });
  });
  return Buffer.concat([writer.take(), body]);
}

test('levels that make other rows than were promised are corrupt', () => {
  const refuse = (bytes: Uint8Array, rows: number | undefined, message: RegExp) =>
    assert.throws(() => decode(bytes, 100, rows), { kind: 'corrupt', message });
  refuse(page(REPETITION, DEFINITION, VALUES, 4), 5, /4 rows where its location promises 5/);
  refuse(page(REPETITION, DEFINITION, VALUES, 3), undefined, /declares 3 rows where its levels make 4/);
  refuse(page([1, ...REPETITION.slice(1)], DEFINITION, VALUES, 3), 3, /middle of a row/);
  refuse(page(REPETITION, DEFINITION, VALUES.slice(1), 4), 4, /./);
  const shallow = { ...LEAF, maxDefinitionLevel: 2 };
  assert.throws(() => decode(page(REPETITION, DEFINITION, VALUES, 4), 100, 4, shallow), { kind: 'corrupt' });
});

test('a block can lie in the middle of shared memory, sealed', () => {
  const [buffer] = decode(page(REPETITION, DEFINITION, VALUES, 4), 2 ** 15, 4).blocks;
  assert.ok(buffer);
  const shared = new SharedArrayBuffer(buffer.byteLength + 128);
  new Uint8Array(shared, 64).set(new Uint8Array(buffer));
  sealBlock(shared, 64);
  verifyBlock(shared, 64);
  assert.deepEqual(entriesOf(Block.open(shared, 64)), ROWS);
  assert.equal(Block.open(shared, 64).byteLength, buffer.byteLength);
  for (let at = 64; at < 64 + buffer.byteLength; at += 1) {
    const bytes = new Uint8Array(shared);
    bytes[at]! ^= 0x10;
    assert.throws(() => verifyBlock(shared, 64), { kind: 'corrupt' }, `byte ${at - 64} flipped`);
    bytes[at]! ^= 0x10;
  }
});

test('a header that does not fit its bytes is refused', () => {
  const [buffer] = decode(page(REPETITION, DEFINITION, VALUES, 4), 2 ** 15, 4).blocks;
  assert.ok(buffer);
  for (const [word, value] of [
    [2, 5],
    [3, 4],
    [4, buffer.byteLength + 8],
    [4, 40],
    [5, 6],
    [5, 0xffffffff],
    [6, 32],
    [6, 0xfffffff8],
  ] as const) {
    const copy = buffer.slice(0);
    new Uint32Array(copy)[word] = value;
    assert.throws(() => Block.open(copy), { kind: 'corrupt' }, `word ${word} = ${value}`);
  }
  for (let length = 0; length < buffer.byteLength; length += 1) {
    assert.throws(() => Block.open(buffer.slice(0, length)), { kind: 'corrupt' }, `${length} bytes`);
  }
});
