/**
 * What lies in front of each block in the slabs: an entry header of 32 bytes, so that with the block's own it fills one
 * cache line.
 *
 *     word 0 bytes of the entry | 1 owner | 2 slot | 3 state | 4 bytes held outside | 5 tag | 6 note | 7 turn
 *
 * The note is its owner's (`NOTE_WORD`), the turn is its number in the queue of a quota. Threads that read the slabs of another
 * one write nothing here but the note. That a block was read its owner keeps, beside the location that led to it: a reader that
 * knows where the value is has no need of this line.
 */

/** Entries begin at multiples of this, a cache line, in which places are counted. */
export const UNIT_BYTES = 64;
export const UNIT_SHIFT = 6;
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
export const IS_OUTSIDE = 1;
export const IS_IN_MAIN = 2;
/** Its owner has it no more; the memory is free when the entry's turn comes. */
export const IS_GONE = 4;

/** What a block of so many bytes takes in a slab. */
export function entryBytes(blockBytes: number): number {
  return Math.ceil((ENTRY_HEADER_BYTES + blockBytes) / UNIT_BYTES) * UNIT_BYTES;
}
