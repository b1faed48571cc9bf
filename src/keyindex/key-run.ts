/**
 * One run of a key index, open for lookups: fingerprint in, positions of rows that may have the key out.
 *
 * The pages are in memory whole or are asked for one by one; the directory is always in memory. A probe touches one page,
 * rarely two, and allocates nothing.
 */

import { assert, corrupt } from '../core/index.ts';
import {
  decodeTail,
  HIGH_WORD,
  isPageSound,
  LOW_BYTE,
  PAGE_BYTES,
  PAGE_ENTRIES,
  PAGE_WORDS,
  POSITION_WORD,
  type RunDirectory,
  type RunFile,
} from './run-layout.ts';

export class KeyRun {
  readonly files: readonly RunFile[];
  readonly entries: number;
  readonly pages: number;
  /** Position of the first row of each file, and one more for the end of the last. */
  readonly firstPositions: Float64Array;
  /** The whole run, as it is written. */
  readonly bytes: Uint8Array;
  /** What the run keeps in memory. */
  readonly byteLength: number;
  readonly #firsts: Uint32Array;
  readonly #words: Uint32Array;

  private constructor({ files, entries, pages, firsts }: RunDirectory, run: Uint8Array) {
    this.files = files;
    this.entries = entries;
    this.pages = pages;
    this.#firsts = firsts;
    this.firstPositions = new Float64Array(files.length + 1);
    for (const [at, { rows }] of files.entries()) this.firstPositions[at + 1] = this.firstPositions[at]! + rows;
    this.bytes = run;
    this.#words = new Uint32Array(run.buffer, run.byteOffset, pages * PAGE_WORDS);
    this.byteLength = run.byteLength + firsts.byteLength + this.firstPositions.byteLength;
  }

  /** A run whose bytes are all in memory, at a multiple of 4 of their buffer. Throws `corrupt` unless every byte is as it was written. */
  static open(run: Uint8Array): KeyRun {
    assert(run.byteOffset % 4 === 0, 'a run lies where words can be read');
    const directory = decodeTail(run);
    for (let page = 0; page < directory.pages; page += 1) {
      const at = page * PAGE_BYTES;
      if (!isPageSound(run.subarray(at, at + PAGE_BYTES), page))
        throw corrupt(`page ${page} of a key index is damaged`);
    }
    const opened = new KeyRun(directory, run);
    const rows = opened.firstPositions.at(-1) ?? 0;
    for (let entry = 0; entry < opened.entries; entry += 1) {
      if (opened.positionOf(entry) >= rows) throw corrupt('a key index names rows that no file of it has');
    }
    return opened;
  }

  /**
   * Appends the positions of all entries of the fingerprint to `found`, in ascending order, but no more than `limit`.
   * Returns whether those are all.
   */
  probe(high: number, low: number, found: number[], limit: number): boolean {
    const firsts = this.#firsts;
    let left = limit;
    for (let page = this.#firstPage(high); page < this.pages && firsts[page]! <= high; page += 1) {
      const words = page * PAGE_WORDS + HIGH_WORD;
      const lows = page * PAGE_BYTES + LOW_BYTE;
      const count = this.#entriesIn(page);
      for (let at = this.#lowerBound(page, high, count); at < count && this.#words[words + at] === high; at += 1) {
        if (this.bytes[lows + at] !== low) continue;
        if (left === 0) return false;
        left -= 1;
        found.push(this.#words[words - HIGH_WORD + POSITION_WORD + at]!);
      }
    }
    return true;
  }

  /** Which file a position is in. */
  fileOf(position: number): number {
    let first = 0;
    let end = this.files.length;
    while (end - first > 1) {
      const middle = (first + end) >>> 1;
      if (this.firstPositions[middle]! <= position) first = middle;
      else end = middle;
    }
    return first;
  }

  /** The row, within its file, that a position stands for; `file` is what `fileOf` said. */
  rowAt(file: number, position: number): number {
    return position - this.firstPositions[file]! + (this.files[file]?.firstRow ?? 0);
  }

  /** The parts of an entry, by its place in the order of the run. */
  highOf(entry: number): number {
    return this.#words[wordOf(entry) + HIGH_WORD]!;
  }

  lowOf(entry: number): number {
    return this.bytes[Math.trunc(entry / PAGE_ENTRIES) * PAGE_BYTES + LOW_BYTE + (entry % PAGE_ENTRIES)]!;
  }

  positionOf(entry: number): number {
    return this.#words[wordOf(entry) + POSITION_WORD]!;
  }

  #entriesIn(page: number): number {
    return page < this.pages - 1 ? PAGE_ENTRIES : this.entries - page * PAGE_ENTRIES;
  }

  /** The last page that begins below `high`, since its end may have it; the first page where there is none. */
  #firstPage(high: number): number {
    const firsts = this.#firsts;
    // Fingerprints are spread evenly, so this is near; from there by doubling steps, then by halving.
    let page = Math.min(this.pages - 1, Math.trunc((high / 2 ** 32) * this.pages));
    let step = 1;
    while (page > 0 && firsts[page]! >= high) {
      page = Math.max(0, page - step);
      step *= 2;
    }
    let end = page + 1;
    step = 1;
    while (end < this.pages && firsts[end]! < high) {
      page = end;
      end = Math.min(this.pages, end + step);
      step *= 2;
    }
    while (end - page > 1) {
      const middle = (page + end) >>> 1;
      if (firsts[middle]! < high) page = middle;
      else end = middle;
    }
    return page;
  }

  #lowerBound(page: number, high: number, count: number): number {
    const words = page * PAGE_WORDS + HIGH_WORD;
    let first = 0;
    let end = count;
    while (first < end) {
      const middle = (first + end) >>> 1;
      if (this.#words[words + middle]! < high) first = middle + 1;
      else end = middle;
    }
    return first;
  }
}

function wordOf(entry: number): number {
  return Math.trunc(entry / PAGE_ENTRIES) * PAGE_WORDS + (entry % PAGE_ENTRIES);
}
