/** Parts of Snappy streams against the whole of what they stand for, and streams that do not come apart. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compressSync } from 'snappy';
import { ServiceError } from '../../src/core/index.ts';
import { nativeSnappy, wasmSnappy } from '../../src/parquet/codecs.ts';
import { SnappyParts } from '../../src/parquet/snappy-parts.ts';
import { FUZZ_SEED, randomFrom } from './support/property.ts';

const FRAGMENT = 64 * 1024;
const isCorrupt = (error: unknown) => error instanceof ServiceError && error.kind === 'corrupt';

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Uint8Array.from([...bytes, rest]);
    bytes.push((rest % 128) | 128);
  }
}

/** A literal with its length in two bytes. */
function literal(bytes: Uint8Array): Uint8Array {
  const length = bytes.length - 1;
  return Buffer.concat([Uint8Array.of(61 << 2, length & 0xff, length >>> 8), bytes]);
}

/** A copy of up to 64 bytes by a distance of 32 bits. */
function copy(length: number, distance: number): Uint8Array {
  const bytes = Buffer.alloc(5);
  bytes[0] = ((length - 1) << 2) | 3;
  bytes.writeUInt32LE(distance, 1);
  return bytes;
}

function assertPart(parts: SnappyParts, plain: Uint8Array, start: number, end: number): void {
  const piece = parts.piece(start, end);
  assert.ok(piece.start <= start && piece.start + piece.bytes.length >= end, `${start} to ${end} are there`);
  assert.deepEqual(
    Buffer.from(piece.bytes.subarray(start - piece.start, end - piece.start)),
    Buffer.from(plain.subarray(start, end)),
  );
}

const contents: Readonly<Record<string, (bytes: number, random: () => number) => Uint8Array>> = {
  'what cannot be compressed': (bytes, random) => Uint8Array.from({ length: bytes }, () => random() * 256),
  'one byte': (bytes) => new Uint8Array(bytes),
  'numbers that ascend': (bytes) =>
    new Uint8Array(BigInt64Array.from({ length: Math.ceil(bytes / 8) }, (_, i) => BigInt(i * 3)).buffer, 0, bytes),
  text: (bytes, random) =>
    Buffer.from(
      Array.from({ length: bytes }, () => `the fox ${Math.floor(random() * 1000)} `)
        .join('')
        .slice(0, bytes),
    ),
};

test('the memory of a piece goes back with the next call, that of the whole does not', () => {
  const plain = contents.text?.(5 * FRAGMENT, randomFrom(FUZZ_SEED)) ?? new Uint8Array(0);
  const parts = new SnappyParts(compressSync(Buffer.from(plain)), plain.length);
  const first = parts.piece(0, FRAGMENT);
  const second = parts.piece(FRAGMENT, 3 * FRAGMENT);
  assert.deepEqual([first.bytes.length, second.bytes.length], [0, 2 * FRAGMENT]);
  assert.deepEqual(Buffer.from(second.bytes), Buffer.from(plain.subarray(FRAGMENT, 3 * FRAGMENT)));
  // One element that reaches out of its fragment, so that nothing comes apart.
  const whole = new SnappyParts(
    Buffer.concat([
      varint(FRAGMENT + 10),
      literal(plain.subarray(0, FRAGMENT - 5)),
      literal(plain.subarray(FRAGMENT - 5, FRAGMENT + 10)),
    ]),
    FRAGMENT + 10,
  );
  const all = whole.piece(0, 10);
  assert.equal(whole.piece(FRAGMENT, FRAGMENT + 10).bytes, all.bytes);
  assert.equal(all.bytes.length, FRAGMENT + 10);
});

test(`every part is what it is in the whole, seed ${FUZZ_SEED}`, () => {
  const random = randomFrom(FUZZ_SEED);
  for (const [name, content] of Object.entries(contents)) {
    for (const bytes of [1, 70, FRAGMENT - 1, FRAGMENT, FRAGMENT + 1, 5 * FRAGMENT, 300_000]) {
      const plain = content(bytes, random);
      const stream = compressSync(Buffer.from(plain));
      for (let round = 0; round < 10; round++) {
        const parts = new SnappyParts(stream, bytes);
        for (let i = 0; i < 3; i++) {
          const start = Math.floor(random() * bytes);
          assertPart(parts, plain, start, start + Math.floor(random() * (bytes - start + 1)));
        }
      }
      const whole = new SnappyParts(stream, bytes);
      assertPart(whole, plain, 0, bytes);
      assert.throws(() => whole.piece(0, bytes + 1), isCorrupt, name);
    }
  }
});

test('a part is had without the rest', () => {
  const plain = contents.text?.(10 * FRAGMENT, randomFrom(1)) ?? new Uint8Array(0);
  const { start, bytes } = new SnappyParts(compressSync(Buffer.from(plain)), plain.length).piece(150_000, 150_010);
  assert.deepEqual([start, bytes.length], [2 * FRAGMENT, FRAGMENT]);
});

test('where an element or a copy reaches out of its fragment the stream is decompressed whole', () => {
  const random = randomFrom(2);
  const first = Uint8Array.from({ length: FRAGMENT }, () => random() * 256);
  const apart = [literal(first), literal(first.subarray(0, 64))];
  const streams = {
    'a copy of the fragment before': [literal(first), copy(64, FRAGMENT)],
    'a literal across the border': [literal(first.subarray(1)), literal(first.subarray(0, 65))],
    'a copy across the border': [literal(first.subarray(10)), copy(64, 1000), literal(first.subarray(0, 10))],
  };
  for (const [name, elements] of Object.entries({ ...streams, apart })) {
    const bytes = FRAGMENT + 64;
    const stream = Buffer.concat([varint(bytes), ...elements]);
    const plain = wasmSnappy()(stream, bytes);
    const parts = new SnappyParts(stream, bytes);
    assertPart(parts, plain, FRAGMENT + 3, FRAGMENT + 50);
    assertPart(parts, plain, 5, 500);
    assert.equal(parts.piece(FRAGMENT + 3, FRAGMENT + 50).start, name === 'apart' ? FRAGMENT : 0, name);
  }
});

test('both decompressors refuse a copy of what lies before a stream', () => {
  const stream = Buffer.concat([varint(68), literal(Buffer.from('four')), copy(64, 5)]);
  for (const decompress of [nativeSnappy(), wasmSnappy()]) {
    if (decompress !== undefined) assert.throws(() => decompress(stream, 68));
  }
});

test('a stream that is cut, lies about its length or ends late is corrupt', () => {
  const plain = contents.text?.(3 * FRAGMENT, randomFrom(3)) ?? new Uint8Array(0);
  const stream = compressSync(Buffer.from(plain));
  assert.throws(() => new SnappyParts(stream, plain.length - 1), isCorrupt);
  for (let cut = 0; cut < stream.length - 1; cut += 997) {
    const read = () => new SnappyParts(stream.subarray(0, cut), plain.length).piece(2 * FRAGMENT, plain.length);
    assert.throws(read, isCorrupt, `cut to ${cut}`);
  }
  const longer = Buffer.concat([stream, Uint8Array.of(0, 0)]);
  assert.throws(() => new SnappyParts(longer, plain.length).piece(2 * FRAGMENT, plain.length), isCorrupt);
});

test(`bytes that are anything give what they say or are corrupt, seed ${FUZZ_SEED}`, () => {
  const random = randomFrom(FUZZ_SEED);
  const plain = contents.text?.(2 * FRAGMENT + 100, random) ?? new Uint8Array(0);
  const stream = compressSync(Buffer.from(plain));
  for (let round = 0; round < 300; round++) {
    const broken = Buffer.from(stream);
    for (let i = 0; i < 3; i++) broken[3 + Math.floor(random() * (broken.length - 3))] = random() * 256;
    const start = Math.floor(random() * plain.length);
    try {
      const { bytes } = new SnappyParts(broken, plain.length).piece(start, plain.length);
      assert.ok(bytes.length > 0);
    } catch (thrown) {
      assert.ok(isCorrupt(thrown), String(thrown));
    }
  }
});
