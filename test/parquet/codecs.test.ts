import assert from 'node:assert/strict';
import { test } from 'node:test';
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { compressSync as compressLz4 } from 'lz4-napi';
import { compressSync as compressSnappy } from 'snappy';
import { decompress, nativeSnappy, wasmSnappy } from '../../src/parquet/codecs.ts';
import type { CompressionCodec } from '../../src/parquet/file-format.ts';
import { decodeLz4Block, nativeLz4, plainLz4 } from '../../src/parquet/lz4.ts';
import { FUZZ_SEED, randomFrom } from './support/property.ts';

const corrupt = { kind: 'corrupt' };

/** lz4-napi puts the size before the block. */
function lz4Block(bytes: Uint8Array): Buffer {
  return compressLz4(Buffer.from(bytes)).subarray(4);
}

function bigEndian(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function littleEndian(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

const COMPRESSORS: ReadonlyArray<readonly [CompressionCodec, (bytes: Uint8Array) => Uint8Array]> = [
  ['UNCOMPRESSED', (bytes) => bytes],
  ['SNAPPY', (bytes) => compressSnappy(Buffer.from(bytes))],
  ['GZIP', (bytes) => gzipSync(bytes)],
  ['GZIP', (bytes) => deflateSync(bytes)],
  ['GZIP', (bytes) => Buffer.concat([gzipSync(bytes.subarray(0, 7)), gzipSync(bytes.subarray(7))])],
  ['BROTLI', (bytes) => brotliCompressSync(bytes)],
  ['ZSTD', (bytes) => zstdCompressSync(bytes)],
  ['ZSTD', (bytes) => Buffer.concat([zstdCompressSync(bytes.subarray(0, 7)), zstdCompressSync(bytes.subarray(7))])],
  ['LZ4_RAW', lz4Block],
  ['LZ4', lz4Block],
  ['LZ4', hadoopLz4],
  ['LZ4', framedLz4],
];

/** Two frames, the first of two chunks. */
function hadoopLz4(bytes: Uint8Array): Buffer {
  const third = Math.ceil(bytes.length / 3);
  const parts = [bytes.subarray(0, third), bytes.subarray(third, 2 * third), bytes.subarray(2 * third)];
  const chunks = parts.map((part) => ({ part, block: lz4Block(part) })).filter(({ part }) => part.length > 0);
  const chunk = ({ block }: { readonly block: Buffer }) => [bigEndian(block.length), block];
  const first = chunks.slice(0, 2);
  const rest = chunks.slice(2);
  const size = (of: typeof chunks) => bigEndian(of.reduce((sum, { part }) => sum + part.length, 0));
  return Buffer.concat([
    size(first),
    ...first.flatMap(chunk),
    ...(rest.length > 0 ? [size(rest), ...rest.flatMap(chunk)] : []),
  ]);
}

/** The frame format: one compressed block, one stored. */
function framedLz4(bytes: Uint8Array): Buffer {
  const half = bytes.length >>> 1;
  const block = lz4Block(bytes.subarray(0, half));
  const stored = bytes.subarray(half);
  const header = Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82]);
  const storedSize = littleEndian((stored.length | 0x80000000) >>> 0);
  const end = littleEndian(0);
  return Buffer.concat([
    header,
    littleEndian(block.length),
    block,
    ...(stored.length > 0 ? [storedSize, stored] : []),
    end,
  ]);
}

function sample(random: () => number, length: number): Uint8Array {
  const alphabet = 1 + Math.floor(random() * 255);
  return Uint8Array.from({ length }, (_, i) => (random() < 0.1 ? i : Math.floor(random() * alphabet)) & 0xff);
}

test('every codec gives back what was compressed', () => {
  const random = randomFrom(FUZZ_SEED);
  for (const [codec, compress] of COMPRESSORS) {
    for (const length of [1, 8, 100, 5000, 300_000]) {
      const bytes = length === 5000 ? new Uint8Array(length) : sample(random, length);
      const where = `${codec} by ${compress.name} of ${length} bytes, seed ${FUZZ_SEED}`;
      assert.deepEqual(Buffer.from(decompress(codec, compress(bytes), length)), Buffer.from(bytes), where);
    }
    assert.equal(decompress(codec, new Uint8Array(0), 0).length, 0, `${codec} of nothing at all`);
  }
});

test('a size other than the declared one is corrupt, in every codec', () => {
  const bytes = sample(randomFrom(7), 1000);
  for (const [codec, compress] of COMPRESSORS) {
    const compressed = compress(bytes);
    for (const declared of [0, 1, 999, 1001, 2000, 2 ** 31 - 1]) {
      assert.throws(
        () => decompress(codec, compressed, declared),
        corrupt,
        `${codec} by ${compress.name} as ${declared}`,
      );
    }
    assert.throws(() => decompress(codec, new Uint8Array(0), 10), corrupt, codec);
  }
});

test('a truncated or mutated page is corrupt or of the declared size, and asks for no more memory', () => {
  const random = randomFrom(FUZZ_SEED);
  for (const [codec, compress] of COMPRESSORS) {
    const compressed = compress(sample(random, 2000));
    for (let round = 0; round < 150; round += 1) {
      const mutant = Uint8Array.from(
        compressed.subarray(0, round % 3 === 0 ? Math.floor(random() * compressed.length) : undefined),
      );
      for (let flips = 0; flips < 3 && round % 3 !== 0; flips += 1)
        mutant[Math.floor(random() * mutant.length)] = Math.floor(random() * 256);
      try {
        assert.equal(decompress(codec, mutant, 2000).length, 2000);
      } catch (thrown) {
        assert.equal(
          (thrown as { kind?: string }).kind,
          'corrupt',
          `${codec}, seed ${FUZZ_SEED}, round ${round}: ${thrown}`,
        );
      }
    }
  }
});

test('the portable SNAPPY decoder answers as the native one does', () => {
  const native = nativeSnappy();
  assert.ok(native, 'the native package loads on this machine');
  const wasm = wasmSnappy();
  const random = randomFrom(FUZZ_SEED);
  for (const length of [1, 100, 70_000, 2000, 1_000_000, 3]) {
    const bytes = sample(random, length);
    const compressed = compressSnappy(Buffer.from(bytes));
    assert.deepEqual(Buffer.from(wasm(compressed, length)), Buffer.from(native(compressed, length)));
    // An instance that failed is replaced, so the next round begins clean.
    const cut = compressed.subarray(0, compressed.length >>> 1);
    assert.throws(() => wasm(cut, length));
  }
});

test('the portable LZ4 decoder answers as the native one does', () => {
  const native = nativeLz4();
  assert.ok(native, 'the native package loads on this machine');
  const random = randomFrom(FUZZ_SEED);
  for (const length of [1, 14, 100, 70_000, 1_000_000]) {
    const bytes = sample(random, length);
    const block = lz4Block(bytes);
    assert.deepEqual(Buffer.from(plainLz4(block, length)), Buffer.from(native(block, length)));
  }
});

test('a Hadoop frame of nothing is nothing, with or without a chunk', () => {
  assert.equal(decompress('LZ4', Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 1, 0), 0).length, 0);
  const framed = Buffer.concat([hadoopLz4(Buffer.from('twelve bytes')), bigEndian(0)]);
  assert.equal(Buffer.from(decompress('LZ4', framed, 12)).toString(), 'twelve bytes');
});

test('LZ4 blocks that lie are corrupt', () => {
  const decode =
    (...bytes: number[]) =>
    () =>
      decodeLz4Block(Uint8Array.from(bytes), new Uint8Array(40), 0);
  assert.throws(decode(), corrupt, 'no last literals');
  assert.throws(decode(0x50, 1, 2), corrupt, 'literals beyond the input');
  assert.throws(decode(0xf0, 255, 255), corrupt, 'a length that does not end');
  assert.throws(decode(0x10, 65, 2, 0, 0x10, 66), corrupt, 'a match before the start');
  assert.throws(decode(0x10, 65, 0, 0, 0x10, 66), corrupt, 'a distance of zero');
  assert.throws(decode(0x1f, 65, 1, 0, 40, 0x10, 66), corrupt, 'a match beyond the output');
  assert.equal(decode(0x1f, 65, 1, 0, 4, 0x10, 66)(), 25);
});

test('LZO is named as unsupported', () => {
  assert.throws(() => decompress('LZO', new Uint8Array(4), 4), { kind: 'unsupported', message: /LZO/ });
});

test('what is compressed may lie in memory that threads share', () => {
  const plain = Buffer.from('a page of text, of text, of text and 0123456789 '.repeat(200));
  for (const [codec, compress] of COMPRESSORS) {
    const input = compress(plain);
    const shared = new Uint8Array(new SharedArrayBuffer(input.length + 8), 8);
    shared.set(input);
    assert.deepEqual(Buffer.from(decompress(codec, shared, plain.length)), plain, codec);
  }
});
