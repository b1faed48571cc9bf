/**
 * The bloom filter of a chunk that is written: as large as the chunk's distinct values want it, which are counted, so
 * that a column of few values has a small one. Hashes are kept until then, eight bytes a value.
 */

import { setBloomBits, xxhash64 } from '../parquet/index.ts';
import { ThriftWriter } from './thrift-writer.ts';

const BLOCK_BYTES = 32;
/** The format's advice; more would not be read. */
const FILTER_BYTES_MAX = 128 * 2 ** 20;

export class BloomWriter {
  readonly #fpp: number;
  /** Low half, then high. */
  #halves = new Uint32Array(2048);
  #length = 0;

  /** `fpp`: of values that are not there, the share that it may let through. */
  constructor(fpp: number) {
    this.#fpp = fpp;
  }

  /** Memory of the hashes. */
  get byteSize(): number {
    return 4 * this.#length;
  }

  add(value: Uint8Array): void {
    if (this.#length === this.#halves.length) {
      const larger = new Uint32Array(2 * this.#halves.length);
      larger.set(this.#halves);
      this.#halves = larger;
    }
    const { low, high } = xxhash64(value);
    this.#halves[this.#length] = low;
    this.#halves[this.#length + 1] = high;
    this.#length += 2;
  }

  /** Header and bits; undefined where there is no value. */
  finish(): Uint8Array | undefined {
    if (this.#length === 0) return undefined;
    const words = new Uint32Array(filterBytes(this.#distinct(), this.#fpp) / 4);
    for (let i = 0; i < this.#length; i += 2) {
      setBloomBits(words, { low: this.#halves[i] ?? 0, high: this.#halves[i + 1] ?? 0 });
    }
    return Buffer.concat([filterHeader(words.byteLength), new Uint8Array(words.buffer)]);
  }

  /** Sorts the hashes, whose order does not matter. */
  #distinct(): number {
    const hashes = new BigUint64Array(this.#halves.buffer, 0, this.#length / 2).sort();
    let distinct = 1;
    for (let i = 1; i < hashes.length; i += 1) if (hashes[i] !== hashes[i - 1]) distinct += 1;
    return distinct;
  }
}

/** A power of two, as other writers have it, since some readers take nothing else. */
function filterBytes(distinct: number, fpp: number): number {
  const bits = (-8 * distinct) / Math.log(1 - fpp ** (1 / 8));
  const bytes = 2 ** Math.ceil(Math.log2(Math.max(BLOCK_BYTES, bits / 8)));
  return Math.min(bytes, FILTER_BYTES_MAX);
}

/** BloomFilterHeader: SPLIT_BLOCK, XXHASH, UNCOMPRESSED. */
function filterHeader(numBytes: number): Uint8Array {
  const thrift = new ThriftWriter();
  thrift.i32(1, numBytes);
  for (const field of [2, 3, 4]) thrift.struct(field, () => thrift.struct(1, () => undefined));
  thrift.stop();
  return thrift.finish();
}
