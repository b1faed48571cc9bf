/**
 * XXH64 with seed 0 (https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md), on pairs of 32-bit halves: a
 * lookup hashes one short key, and BigInt would make garbage of every step.
 */

/** A 64-bit word that is worked on in place. */
class Word {
  high = 0;
  low = 0;

  set(high: number, low: number): this {
    this.high = high | 0;
    this.low = low | 0;
    return this;
  }

  add(high: number, low: number): this {
    const sum = (this.low >>> 0) + (low >>> 0);
    this.high = (this.high + high + (sum > 0xffff_ffff ? 1 : 0)) | 0;
    this.low = sum | 0;
    return this;
  }

  multiply(high: number, low: number): this {
    const a0 = this.low & 0xffff;
    const a1 = this.low >>> 16;
    const b0 = low & 0xffff;
    const b1 = low >>> 16;
    const bottom = a0 * b0;
    const middle = a0 * b1 + a1 * b0 + Math.floor(bottom / 0x1_0000);
    const top = a1 * b1 + Math.floor(middle / 0x1_0000);
    this.high = (top + Math.imul(this.high, low) + Math.imul(this.low, high)) | 0;
    this.low = ((middle & 0xffff) << 16) | (bottom & 0xffff);
    return this;
  }

  xor(high: number, low: number): this {
    this.high ^= high;
    this.low ^= low;
    return this;
  }

  /** Rotates left by 1 to 31 bits. */
  rotate(bits: number): this {
    const high = (this.high << bits) | (this.low >>> (32 - bits));
    this.low = (this.low << bits) | (this.high >>> (32 - bits));
    this.high = high;
    return this;
  }

  /** Xors with itself shifted right by 29, 32 or 33 bits. */
  xorShift(bits: 29 | 32 | 33): this {
    if (bits === 29) return this.xor(this.high >>> 29, (this.low >>> 29) | (this.high << 3));
    return this.xor(0, this.high >>> (bits - 32));
  }

  times(prime: Half): this {
    return this.multiply(prime[0], prime[1]);
  }

  plus(prime: Half): this {
    return this.add(prime[0], prime[1]);
  }
}

type Half = readonly [high: number, low: number];

const PRIME_1: Half = [0x9e37_79b1, 0x85eb_ca87];
const PRIME_2: Half = [0xc2b2_ae3d, 0x27d4_eb4f];
const PRIME_3: Half = [0x1656_67b1, 0x9e37_79f9];
const PRIME_4: Half = [0x85eb_ca77, 0xc2b2_ae63];
const PRIME_5: Half = [0x27d4_eb2f, 0x1656_67c5];

const lane = new Word();

/** The hash of all bytes, as two unsigned halves. */
export function xxhash64(bytes: Uint8Array): { readonly high: number; readonly low: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = bytes.length;
  let at = 0;
  const hash = new Word();
  if (length >= 32) at = hashStripes(view, hash);
  else hash.set(PRIME_5[0], PRIME_5[1]);
  hash.add(Math.floor(length / 2 ** 32), length);
  for (; at + 8 <= length; at += 8) {
    round(lane.set(0, 0), view, at);
    hash.xor(lane.high, lane.low).rotate(27).times(PRIME_1).plus(PRIME_4);
  }
  if (at + 4 <= length) {
    lane.set(0, view.getUint32(at, true)).times(PRIME_1);
    hash.xor(lane.high, lane.low).rotate(23).times(PRIME_2).plus(PRIME_3);
    at += 4;
  }
  for (; at < length; at += 1) {
    lane.set(0, view.getUint8(at)).times(PRIME_5);
    hash.xor(lane.high, lane.low).rotate(11).times(PRIME_1);
  }
  hash.xorShift(33).times(PRIME_2).xorShift(29).times(PRIME_3).xorShift(32);
  return { high: hash.high >>> 0, low: hash.low >>> 0 };
}

/** Four accumulators over stripes of 32 bytes; returns where the last whole stripe ends. */
function hashStripes(view: DataView, hash: Word): number {
  const first = new Word().set(PRIME_1[0], PRIME_1[1]).plus(PRIME_2);
  const second = new Word().set(PRIME_2[0], PRIME_2[1]);
  const third = new Word();
  const fourth = new Word().set(~PRIME_1[0], ~PRIME_1[1]).add(0, 1);
  let at = 0;
  for (; at + 32 <= view.byteLength; at += 32) {
    round(first, view, at);
    round(second, view, at + 8);
    round(third, view, at + 16);
    round(fourth, view, at + 24);
  }
  for (const [accumulator, bits] of [
    [first, 1],
    [second, 7],
    [third, 12],
    [fourth, 18],
  ] as const) {
    lane.set(accumulator.high, accumulator.low).rotate(bits);
    hash.add(lane.high, lane.low);
  }
  for (const accumulator of [first, second, third, fourth]) {
    lane.set(accumulator.high, accumulator.low).times(PRIME_2).rotate(31).times(PRIME_1);
    hash.xor(lane.high, lane.low).times(PRIME_1).plus(PRIME_4);
  }
  return at;
}

const input = new Word();

function round(accumulator: Word, view: DataView, at: number): void {
  input.set(view.getInt32(at + 4, true), view.getInt32(at, true)).times(PRIME_2);
  accumulator.add(input.high, input.low).rotate(31).times(PRIME_1);
}
