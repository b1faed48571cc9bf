/**
 * What a stored block is of: the version of a file, and the place in it.
 *
 * Blocks are found by 64 bits of hash, which two blocks may share; so each sector on disk carries 64 more, made of other
 * words of the file's digest, and what is read counts only when those are of the block that was asked for.
 */

import { createHash } from 'node:crypto';
import type { FrameMarks } from './disk-frame.ts';

/**
 * Part of every identity: to be raised whenever decoding the same page gives other bytes than before, since what an
 * older version wrote is then no longer what this one would.
 */
const DECODING_VERSION = 1;

/** In place of a page's number: what is stored of a chunk beside its data pages. */
export const DICTIONARY_PAGE = 0xffff_ffff;
export const LAYOUT_RECORD = 0xffff_fffe;
export const BLOOM_FILTER_RECORD = 0xffff_fffd;

/** Of a page that is one block, whatever the shift that its rows would allow. */
export const WHOLE_PAGE_SHIFT = 31;

/** One version of one file: 128 bits as four words. */
export type FileIdentity = Uint32Array;

export interface BlockIdentity {
  readonly file: FileIdentity;
  readonly rowGroup: number;
  readonly column: number;
  /** The data page, or one of the records above. */
  readonly page: number;
  /** Which block of the page, if its blocks hold 2^shift rows. */
  readonly ordinal: number;
  readonly shift: number;
}

/** `place` names the storage: keys and ETags of two buckets may be the same. */
export function fileIdentity(place: string, key: string, eTag: string, sizeBytes: number): FileIdentity {
  const text = JSON.stringify([DECODING_VERSION, place, key, eTag, sizeBytes]);
  const digest = createHash('sha256').update(text).digest();
  return Uint32Array.from({ length: 4 }, (_, word) => digest.readUInt32LE(4 * word));
}

export function identityText(identity: FileIdentity): string {
  return Array.from(identity, (word) => word.toString(16).padStart(8, '0')).join('');
}

/** Two words of hash, independent of one another. */
export function highHash({ file, rowGroup, column, page, ordinal, shift }: BlockIdentity): number {
  let hash = mix(file[0] ?? 0, rowGroup);
  hash = mix(hash, column);
  hash = mix(hash, page);
  hash = mix(hash, ordinal);
  return finish(mix(hash, shift));
}

export function lowHash({ file, rowGroup, column, page, ordinal, shift }: BlockIdentity): number {
  let hash = mix(file[1] ?? 0, ordinal);
  hash = mix(hash, page);
  hash = mix(hash, shift);
  hash = mix(hash, column);
  return finish(mix(hash, rowGroup));
}

/** By what the sectors of a block are known, if it has so many bytes of this form. */
export function marksOf(identity: BlockIdentity, byteLength: number, form: number): FrameMarks {
  const { file, rowGroup, column, page, ordinal, shift } = identity;
  let seed = mix(mix(file[2] ?? 0, byteLength), form);
  seed = mix(mix(mix(seed, column), ordinal), rowGroup);
  seed = finish(mix(mix(seed, page), shift));
  let tag = mix(mix(file[3] ?? 0, page), column);
  tag = finish(mix(mix(mix(tag, rowGroup), shift), ordinal));
  return { seed, tag };
}

/** The steps of MurmurHash3 (Austin Appleby, public domain). */
function mix(hash: number, word: number): number {
  let mixed = Math.imul(word, 0xcc9e_2d51);
  mixed = Math.imul((mixed << 15) | (mixed >>> 17), 0x1b87_3593) ^ hash;
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe654_6b64) | 0;
}

function finish(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
