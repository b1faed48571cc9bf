import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ServiceError } from '../../src/core/index.ts';
import { Block, float16 } from '../../src/parquet/block.ts';
import { readBlockHeader, sealBlock, verifyBlock } from '../../src/parquet/block-layout.ts';
import { codeWidth } from '../../src/parquet/block-writer.ts';
import { blocksOf } from './support/blocks.ts';
import { FUZZ_SEED, property, randomFrom } from './support/property.ts';

const corrupt = { kind: 'corrupt' };

const rowsOf = (value: fc.Arbitrary<Uint8Array>) =>
  fc.array(fc.option(value, { freq: 4 }), { minLength: 1, maxLength: 300 });

const shape = fc.record({
  dictionary: fc.boolean(),
  blockBytes: fc.constantFrom(1, 40, 300, 4096),
  gap: fc.constantFrom(0 as const, 4 as const),
});

function checkRows(
  rows: ReadonlyArray<Uint8Array | null>,
  width: number | undefined,
  options: Parameters<typeof blocksOf>[2],
) {
  const { blocks, shift } = blocksOf(rows, width, options);
  const read = blocks.flatMap((block, b) => {
    assert.equal(block.rows, Math.min(2 ** shift, rows.length - b * 2 ** shift));
    assert.equal(block.byteOffset % 8, 0);
    return Array.from({ length: block.rows }, (_, row) => {
      if (block.isNull(row)) {
        if (block.kind === 'BYTES') assert.equal(block.byteLengthAt(row), 0);
        if (block.kind === 'FIXED') assert.ok(block.bytesAt(row).every((byte) => byte === 0));
        if (block.kind === 'CODES') assert.equal(block.codeAt(row), 0);
        return null;
      }
      assert.equal(block.byteLengthAt(row), block.bytesAt(row).length);
      return Buffer.from(block.bytesAt(row)).toString('hex');
    });
  });
  assert.deepEqual(
    read,
    rows.map((row) => row && Buffer.from(row).toString('hex')),
  );
}

test('blocks of any size hold every row, with nulls, gaps and dictionaries', () => {
  property(fc.tuple(rowsOf(fc.uint8Array({ maxLength: 40 })), shape), ([rows, options]) =>
    checkRows(rows, undefined, options),
  );
  for (const width of [1, 2, 4, 8, 12, 16]) {
    const value = fc.uint8Array({ minLength: width, maxLength: width });
    property(fc.tuple(rowsOf(value), shape), ([rows, options]) => checkRows(rows, width, options), 40);
  }
});

test('long values are copied whole, beside short ones', () => {
  const rows = Array.from({ length: 50 }, (_, i) => Buffer.alloc((i * 97) % 1300, 65 + (i % 26)));
  for (const gap of [0, 4] as const) checkRows(rows, undefined, { gap, blockBytes: 8192 });
});

test('an average block weighs about what was asked for', () => {
  const rows = Array.from({ length: 20_000 }, (_, i) => Buffer.from(Uint32Array.of(i, 0).buffer));
  const { blocks } = blocksOf(rows, 8, { blockBytes: 32 * 1024 });
  assert.equal(blocks[0]!.byteLength, 32 * 1024 + 32);
  assert.equal(blocks.length, Math.ceil(20_000 / 4096));
});

test('codes are as narrow as their dictionary allows', () => {
  assert.deepEqual([1, 256, 257, 65_536, 65_537].map(codeWidth), [1, 1, 2, 2, 4]);
});

test('typed readers give the stored values', () => {
  const bytes = (array: ArrayBufferView) => new Uint8Array(array.buffer);
  const open = (value: ArrayBufferView, dictionary: boolean) =>
    blocksOf([null, bytes(value)], value.byteLength, { dictionary }).blocks[0]!;
  for (const dictionary of [false, true]) {
    assert.equal(open(Int32Array.of(-5), dictionary).int32At(1), -5);
    assert.equal(open(Uint32Array.of(2 ** 32 - 1), dictionary).uint32At(1), 2 ** 32 - 1);
    const wide = open(BigInt64Array.of(-(2n ** 63n) + 5n), dictionary);
    assert.equal(wide.int64At(1), -(2n ** 63n) + 5n);
    assert.equal(wide.uint64At(1), 2n ** 63n + 5n);
    assert.equal(wide.int64LowAt(1), 5);
    assert.equal(wide.int64HighAt(1), -(2 ** 31));
    assert.equal(open(Float32Array.of(1.5), dictionary).float32At(1), 1.5);
    assert.ok(Object.is(open(Float64Array.of(-0), dictionary).float64At(1), -0));
    assert.equal(open(Uint16Array.of(0x3e00), dictionary).float16At(1), 1.5);
    assert.equal(open(Uint8Array.of(1), dictionary).booleanAt(1), true);
    for (const text of ['plain ascii', 'Zürich', '東京 🗼', '']) {
      const block = blocksOf([null, Buffer.from(text)], undefined, { dictionary }).blocks[0]!;
      assert.equal(block.utf8At(1), text);
      assert.equal(block.utf8At(0), dictionary ? text : '');
    }
  }
});

test('FLOAT16 equals its definition at every bit pattern', () => {
  for (let bits = 0; bits < 0x10000; bits += 1) {
    const exponent = (bits >>> 10) & 31;
    const fraction = (bits & 1023) / 1024;
    const magnitude =
      exponent === 0
        ? fraction * 2 ** -14
        : exponent === 31
          ? fraction === 0
            ? Infinity
            : NaN
          : (1 + fraction) * 2 ** (exponent - 15);
    assert.ok(Object.is(float16(bits), bits & 0x8000 ? -magnitude : magnitude), bits.toString(16));
  }
});

test('a sealed block opens anywhere that is aligned, and any flipped bit is seen', () => {
  const { blocks } = blocksOf([null, Buffer.from('one'), Buffer.from('two')], undefined);
  const [block] = blocks;
  const slab = new ArrayBuffer(512);
  new Uint8Array(slab).set(new Uint8Array(block!.buffer), 64);
  assert.throws(() => verifyBlock(slab, 64), corrupt, 'not sealed');
  sealBlock(slab, 64);
  verifyBlock(slab, 64);
  const reopened = Block.open(slab, 64, block!.byteLength);
  assert.equal(reopened.utf8At(2), 'two');
  assert.equal(reopened.byteLength, block!.byteLength);
  const bytes = new Uint8Array(slab);
  for (let bit = 64 * 8; bit < (64 + block!.byteLength) * 8; bit += 1) {
    bytes[bit >>> 3]! ^= 1 << (bit & 7);
    assert.throws(() => verifyBlock(slab, 64, block!.byteLength), corrupt, `bit ${bit}`);
    bytes[bit >>> 3]! ^= 1 << (bit & 7);
  }
  verifyBlock(slab, 64);
});

test('headers that do not fit their bytes are corrupt, never a RangeError', () => {
  const random = randomFrom(FUZZ_SEED);
  const { blocks } = blocksOf([null, Buffer.from('one'), Buffer.from('two')], undefined);
  const good = new Uint8Array(blocks[0]!.buffer);
  for (let round = 0; round < 3000; round += 1) {
    const bytes = Uint8Array.from(good);
    for (let flips = 0; flips < 2; flips += 1) bytes[Math.floor(random() * 48)] = Math.floor(random() * 256);
    const length = random() < 0.2 ? Math.floor(random() * bytes.length) : bytes.length;
    try {
      const header = readBlockHeader(bytes.buffer, 0, length);
      assert.ok(header.byteLength <= length);
    } catch (thrown) {
      assert.ok(
        thrown instanceof ServiceError && thrown.kind === 'corrupt',
        `seed ${FUZZ_SEED}, round ${round}: ${thrown}`,
      );
    }
  }
  assert.throws(() => Block.open(new ArrayBuffer(64), 4, 60), corrupt, 'not aligned');
  assert.throws(() => Block.open(new ArrayBuffer(16)), corrupt, 'shorter than a header');
});

test('reading codes without their dictionary, or a width as another, is an error of ours', () => {
  const { blocks } = blocksOf([Buffer.alloc(4), Buffer.alloc(4)], 4, { dictionary: true });
  blocks[0]!.dictionary = undefined;
  assert.throws(() => blocks[0]!.int32At(0), { kind: 'internal' });
  assert.throws(() => blocksOf([Buffer.alloc(4)], 4).blocks[0]!.int64At(0), { kind: 'internal' });
});
