/**
 * Ways to break a good file. Each takes the whole file and gives another; a footer that was changed in length gets a
 * right length at the file's end, so that the lie is read and not merely missed.
 */

import type { FuzzSeed } from './file-seeds.ts';
import { type NumberSite, numberSites, varint, zigzag } from './thrift-sites.ts';

export type Random = () => number;
type Mutation = (seed: FuzzSeed, random: Random) => Uint8Array;

const below = (random: Random, limit: number) => Math.floor(random() * limit);
const pick = <T>(random: Random, values: readonly T[]): T => values[below(random, values.length)] as T;

export const MUTATIONS: Readonly<Record<string, Mutation>> = {
  flips: ({ bytes }, random) => {
    const mutant = Uint8Array.from(bytes);
    for (let flips = 1 + below(random, 6); flips > 0; flips -= 1) {
      mutant[below(random, mutant.length)]! ^= 1 << below(random, 8);
    }
    return mutant;
  },
  'flips in the footer': ({ bytes, footerStart }, random) => {
    const mutant = Uint8Array.from(bytes);
    const length = bytes.length - footerStart;
    for (let flips = 1 + below(random, 4); flips > 0; flips -= 1) {
      mutant[footerStart + below(random, length)]! ^= 1 << below(random, 8);
    }
    return mutant;
  },
  'flips in a page': ({ bytes, pageStarts, footerStart }, random) => {
    const mutant = Uint8Array.from(bytes);
    const start = pick(random, pageStarts);
    const length = Math.max(1, Math.min(footerStart - start, 30 + below(random, 300)));
    for (let flips = 1 + below(random, 3); flips > 0; flips -= 1) {
      mutant[start + below(random, length)]! ^= 1 << below(random, 8);
    }
    return mutant;
  },
  truncation: ({ bytes }, random) => bytes.slice(0, below(random, bytes.length)),
  'lost bytes': (seed, random) => spliceBody(seed, below(random, seed.footerStart), 1 + below(random, 300), []),
  'bytes from elsewhere': (seed, random) => {
    const { bytes, footerStart } = seed;
    const from = below(random, bytes.length);
    const moved = bytes.slice(from, from + 1 + below(random, 200));
    const replaced = random() < 0.5 ? moved.length : 0;
    return spliceBody(seed, below(random, footerStart), replaced, moved);
  },
  'random bytes': (seed, random) => {
    const noise = Uint8Array.from({ length: 1 + below(random, 24) }, () => below(random, 256));
    return spliceBody(seed, below(random, seed.footerStart), noise.length, noise);
  },
  'a lie in the footer': (seed, random) => {
    const { bytes, footerStart } = seed;
    const { sites } = numberSites(bytes.subarray(0, bytes.length - 8), footerStart);
    return withFooterLength(lie(bytes, pick(random, sites), random), footerStart);
  },
  'a lie in a page header': (seed, random) => {
    const start = pick(random, seed.pageStarts);
    const { sites } = numberSites(seed.bytes.subarray(0, seed.footerStart), start);
    if (sites.length === 0) return seed.bytes.slice(0, start);
    return lie(seed.bytes, pick(random, sites), random);
  },
  'a lying length anywhere': ({ bytes }, random) => {
    const mutant = Uint8Array.from(bytes);
    mutant.set(pick(random, FIXED_LIES).slice(0, 4), below(random, Math.max(1, mutant.length - 4)));
    return mutant;
  },
  'a lying footer length': ({ bytes }, random) => {
    const mutant = Uint8Array.from(bytes);
    mutant.set(pick(random, FIXED_LIES), mutant.length - 8);
    return mutant;
  },
  'two lies in the footer': (seed, random) => {
    const once = MUTATIONS['a lie in the footer']!(seed, random);
    return MUTATIONS['a lie in the footer']!({ ...seed, bytes: once }, random);
  },
};

/** Little-endian words that overflow something. */
const FIXED_LIES: readonly (readonly number[])[] = [
  [0, 0, 0, 0],
  [0xff, 0xff, 0xff, 0xff],
  [0xff, 0xff, 0xff, 0x7f],
  [0, 0, 0, 0x80],
  [0xff, 0xff, 0, 0],
  [1, 0, 0, 0],
];

const LIES = [
  0n,
  1n,
  -1n,
  2n,
  7n,
  255n,
  65_536n,
  2n ** 20n,
  2n ** 28n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n,
  2n ** 53n,
];
const WIDE_LIES = [2n ** 63n - 1n, -(2n ** 63n)];

function lie(bytes: Uint8Array, site: NumberSite | undefined, random: Random): Uint8Array {
  if (site === undefined) return bytes;
  const value = pick(random, [...LIES, ...WIDE_LIES]);
  if (site.kind === 'integer') return splice(bytes, site.start, site.end, zigzag(value));
  const size = BigInt.asUintN(64, value);
  if (site.kind === 'length') return splice(bytes, site.start, site.end, varint(size));
  const type = (bytes[site.start] ?? 0) & 15;
  const header = size < 15n ? [(Number(size) << 4) | type] : [0xf0 | type, ...varint(size)];
  return splice(bytes, site.start, site.end, header);
}

/** Changes what is before the footer, which stays whole and finds its chunks moved. */
function spliceBody(
  { bytes, footerStart }: FuzzSeed,
  at: number,
  removed: number,
  added: ArrayLike<number>,
): Uint8Array {
  return splice(bytes, at, Math.min(footerStart, at + removed), added);
}

function splice(bytes: Uint8Array, start: number, end: number, added: ArrayLike<number>): Uint8Array {
  const mutant = new Uint8Array(start + added.length + bytes.length - end);
  mutant.set(bytes.subarray(0, start));
  mutant.set(added, start);
  mutant.set(bytes.subarray(end), start + added.length);
  return mutant;
}

function withFooterLength(bytes: Uint8Array, footerStart: number): Uint8Array {
  const mutant = Uint8Array.from(bytes);
  new DataView(mutant.buffer).setUint32(mutant.length - 8, mutant.length - 8 - footerStart, true);
  return mutant;
}
