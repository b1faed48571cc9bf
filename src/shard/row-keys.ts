/**
 * A key as bytes, for finding its row among the encoded ones: equal keys give equal bytes, others never do.
 *
 * The bytes lie in one scratch buffer that the next key overwrites, or are the key's own where it is one byte string.
 */

import type { Key } from '../table/index.ts';

/** Longer keys are not worth keeping rows for. */
const SCRATCH_BYTES = 1024;

const KIND_NUMBER = 1;
const KIND_BIGINT = 2;
const KIND_TRUE = 3;
const KIND_FALSE = 4;
const KIND_BYTES = 5;
const KIND_LARGE = 6;

export class RowKeys {
  readonly #scratch = new Uint8Array(SCRATCH_BYTES);
  readonly #view = new DataView(this.#scratch.buffer);
  /** The first bytes of the scratch buffer, by their number. */
  readonly #firsts: (Uint8Array | undefined)[] = [];
  /** What is there now. */
  #key: Key | undefined = undefined;
  #bytes: Uint8Array | undefined = undefined;

  /** Valid until the next call for another key, and keys stay what they are; undefined for a key that is too long. */
  bytesOf(key: Key): Uint8Array | undefined {
    if (this.#key === key) return this.#bytes;
    const [only] = key;
    if (key.length === 1 && only instanceof Uint8Array) return only;
    let end = 0;
    for (let i = 0; i < key.length && end >= 0; i++) end = this.#write(key[i] as Key[number], end);
    this.#key = key;
    this.#bytes = end < 0 ? undefined : this.#firstBytes(end);
    return this.#bytes;
  }

  #firstBytes(length: number): Uint8Array {
    let bytes = this.#firsts[length];
    if (bytes === undefined) {
      bytes = this.#scratch.subarray(0, length);
      this.#firsts[length] = bytes;
    }
    return bytes;
  }

  /** Where the next part goes, or -1 where this one does not fit. Every part begins with its kind. */
  #write(value: Key[number], at: number): number {
    if (at + 9 > SCRATCH_BYTES) return -1;
    if (typeof value === 'number') {
      this.#scratch[at] = KIND_NUMBER;
      // -0 equals 0, and every NaN is one.
      this.#view.setFloat64(at + 1, Number.isNaN(value) ? Number.NaN : value + 0, true);
      return at + 9;
    }
    if (typeof value === 'bigint') return this.#writeBigInt(value, at);
    if (typeof value === 'boolean') {
      this.#scratch[at] = value ? KIND_TRUE : KIND_FALSE;
      return at + 1;
    }
    return this.#writeBytes(value, KIND_BYTES, at);
  }

  #writeBigInt(value: bigint, at: number): number {
    if (BigInt.asIntN(64, value) !== value) return this.#writeBytes(Buffer.from(value.toString()), KIND_LARGE, at);
    this.#scratch[at] = KIND_BIGINT;
    this.#view.setBigInt64(at + 1, value, true);
    return at + 9;
  }

  #writeBytes(bytes: Uint8Array, kind: number, at: number): number {
    if (at + 5 + bytes.length > SCRATCH_BYTES) return -1;
    this.#scratch[at] = kind;
    this.#view.setUint32(at + 1, bytes.length, true);
    this.#scratch.set(bytes, at + 5);
    return at + 5 + bytes.length;
  }
}
