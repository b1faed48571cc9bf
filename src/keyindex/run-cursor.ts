/** Goes through a run entry by entry, in the order of fingerprints and for one fingerprint of positions. */

import type { KeyRun } from './key-run.ts';
import type { RunPage } from './page-cache.ts';
import { HIGH_WORD, LOW_BYTE, POSITION_WORD } from './run-layout.ts';

/** The entry of a source that is next; files that are gone are passed over. */
export class RunCursor {
  high = 0;
  low = 0;
  position = 0;
  /** Of the run, the one whose row it is. */
  file = 0;
  isDone = false;
  readonly #run: KeyRun;
  /** By file: what its positions are moved by; NaN where it is gone. */
  readonly #shifts: Float64Array;
  #ordinal = 0;
  #page: RunPage | undefined = undefined;
  #at = 0;
  #count = 0;

  constructor(run: KeyRun, shifts: Float64Array) {
    this.#run = run;
    this.#shifts = shifts;
    this.advance();
  }

  advance(): void {
    for (;;) {
      if (this.#at === this.#count && !this.#nextPage()) break;
      const { words, bytes } = this.#page!;
      const at = this.#at++;
      const old = words[POSITION_WORD + at]!;
      const file = this.#run.fileOf(old);
      const shift = this.#shifts[file]!;
      if (Number.isNaN(shift)) continue;
      this.file = file;
      this.high = words[HIGH_WORD + at]!;
      this.low = bytes[LOW_BYTE + at]!;
      this.position = old + shift;
      return;
    }
    this.isDone = true;
  }

  #nextPage(): boolean {
    if (this.#ordinal === this.#run.pages) return false;
    this.#page = this.#run.page(this.#ordinal);
    this.#count = this.#run.entriesIn(this.#ordinal);
    this.#at = 0;
    this.#ordinal += 1;
    return true;
  }
}

/** Undefined where all are done. */
export function leastOf(cursors: readonly RunCursor[]): RunCursor | undefined {
  let least: RunCursor | undefined;
  for (const cursor of cursors) {
    if (cursor.isDone) continue;
    if (least === undefined || isBelow(cursor, least)) least = cursor;
  }
  return least;
}

function isBelow(a: RunCursor, b: RunCursor): boolean {
  if (a.high !== b.high) return a.high < b.high;
  if (a.low !== b.low) return a.low < b.low;
  return a.position < b.position;
}
