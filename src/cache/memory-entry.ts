/**
 * What lies in front of each block in the slabs: an entry header of 32 bytes, so that with the block's own it fills one
 * cache line.
 *
 *     word 0 bytes of the entry | 1 owner | 2 slot | 3 state | 4 bytes held outside | 5 tag | 6 note | 7 turn
 *
 * The note is its owner's (`NOTE_WORD`), the turn is its number in the queue of a quota. Threads that read the slabs of another
 * one write nothing but the note and, as a byte by itself, that they read the block.
 */

import { UNIT_BYTES } from './slab-views.ts';

export const ENTRY_HEADER_BYTES = 32;
/** The word, counted from the block, in which its owner may note something of its own; 0 at first. */
export const NOTE_WORD = -2;

export const OWNER = 1;
export const SLOT = 2;
export const STATE = 3;
export const OUTSIDE = 4;
export const TAG = 5;
export const TURN = 7;

/** Bits of the state. */
export const READ = 1;
export const IS_OUTSIDE = 2;
export const IS_IN_MAIN = 4;
/** Its owner has it no more; the memory is free when the entry's turn comes. */
export const IS_GONE = 8;
/** In the byte of the state that other threads store: no flag of the writer's can be lost by it, theirs may be by the writer's. */
export const READ_ELSEWHERE: number = 1 << 24;
export const READ_ELSEWHERE_BYTE: number = 4 * STATE + 3;

/** What a block of so many bytes takes in a slab. */
export function entryBytes(blockBytes: number): number {
  return Math.ceil((ENTRY_HEADER_BYTES + blockBytes) / UNIT_BYTES) * UNIT_BYTES;
}
