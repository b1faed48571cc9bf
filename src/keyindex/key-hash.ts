/**
 * The hash that key indexes are sorted by: 40 bits of a key, the same for equal keys, on any machine and for ever.
 *
 * Two lanes of MurmurHash3 (Appleby, https://github.com/aappleby/smhasher, x86 variants) with the constants of its 128-bit
 * form, joined at the end as that one joins its lanes. Two 32-bit lanes cost JavaScript a few nanoseconds a word, where
 * 64-bit arithmetic would go through BigInt. A key of several columns is hashed part after part.
 */

const C1 = 0x239b961b;
const C2 = 0xab0e9789;
const C3 = 0x38b34ae5;
const C4 = 0xa1e38b93;

export class KeyHash {
  /** The upper 32 bits, unsigned; valid after `finish`. */
  high = 0;
  /** The lower 8 bits; valid after `finish`. */
  low = 0;
  #a = 0;
  #b = 0;
  #words = 0;

  /** Begins a key. */
  start(): this {
    this.#a = 0;
    this.#b = 0;
    this.#words = 0;
    return this;
  }

  /** A part that is a whole number, as the halves of its two's complement in 64 bits. */
  addInt64(lowWord: number, highWord: number): this {
    this.#add(lowWord);
    this.#add(highWord);
    return this;
  }

  /** A part that is a byte string. Its length goes in too, so that parts cannot flow into one another. */
  addBytes(bytes: Uint8Array, start: number, end: number): this {
    let at = start;
    for (; at + 4 <= end; at += 4) {
      this.#add(bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24));
    }
    let rest = 0;
    for (let shift = 0; at < end; at += 1, shift += 8) rest |= bytes[at]! << shift;
    this.#add(rest);
    this.#add(end - start);
    return this;
  }

  finish(): void {
    let a = this.#a ^ this.#words;
    let b = this.#b ^ this.#words;
    a = (a + b) | 0;
    b = (b + a) | 0;
    a = avalanche(a);
    b = avalanche(b);
    a = (a + b) | 0;
    this.high = a >>> 0;
    this.low = (b + a) & 0xff;
  }

  #add(word: number): void {
    let k = Math.imul(word, C1);
    k = Math.imul((k << 15) | (k >>> 17), C2);
    let a = this.#a ^ k;
    a = (a << 19) | (a >>> 13);
    this.#a = (Math.imul(a, 5) + 0x561ccd1b) | 0;
    k = Math.imul(word, C3);
    k = Math.imul((k << 17) | (k >>> 15), C4);
    let b = this.#b ^ k;
    b = (b << 13) | (b >>> 19);
    this.#b = (Math.imul(b, 5) + 0x32ac3b17) | 0;
    this.#words += 1;
  }
}

function avalanche(word: number): number {
  let h = word ^ (word >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}
