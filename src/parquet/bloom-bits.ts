/** Which bits of a split-block filter stand for a hash: one in each of the eight words of one block of 32 bytes. */

/** XXH64 as two unsigned halves. */
export interface BloomHash {
  readonly high: number;
  readonly low: number;
}

/** Odd numbers that choose one bit in each of a block's eight words. */
const SALT = Int32Array.of(
  0x47b6137b,
  0x44974d91,
  0x8824ad5b,
  0xa2b7289d,
  0x705495c7,
  0x2df1424b,
  0x9efc4947,
  0x5c6bfb31,
);

export function hasBloomBits(words: Uint32Array, hash: BloomHash): boolean {
  const word = 8 * blockOf(hash.high, words.length / 8);
  for (let index = 0; index < 8; index += 1) {
    const bit = Math.imul(hash.low, SALT[index]!) >>> 27;
    if ((words[word + index]! & (1 << bit)) === 0) return false;
  }
  return true;
}

export function setBloomBits(words: Uint32Array, hash: BloomHash): void {
  const word = 8 * blockOf(hash.high, words.length / 8);
  for (let index = 0; index < 8; index += 1) {
    words[word + index]! |= 1 << (Math.imul(hash.low, SALT[index]!) >>> 27);
  }
}

/** The upper half of the hash, scaled to the number of blocks: high * blocks / 2^32, in parts that stay exact. */
function blockOf(high: number, blocks: number): number {
  return Math.floor(((high >>> 16) * blocks + Math.floor(((high & 0xffff) * blocks) / 0x1_0000)) / 0x1_0000);
}
