/**
 * Several runs into one, leaving out the rows of files that are gone.
 *
 * The sources are sorted, so one pass in the order of fingerprints is enough and holds nothing but the pages being
 * read and written. The rows of the files that stay are counted anew.
 */

import { assert } from '../core/index.ts';
import type { KeyRun } from './key-run.ts';
import type { RunPage } from './page-cache.ts';
import { HIGH_WORD, LOW_BYTE, POSITION_WORD, ROWS_MAX, type RunFile } from './run-layout.ts';
import { type RunSink, RunWriter } from './run-writer.ts';

/** `isLive` says whether a file of a source (by its ordinal there) stays. A file is in one source at most. */
export function mergeRuns(
  sources: readonly KeyRun[],
  isLive: (source: number, file: number) => boolean,
  sink: RunSink,
): void {
  const files: RunFile[] = [];
  let rows = 0;
  const cursors = sources.map((run, source) => {
    const shifts = new Float64Array(run.files.length).fill(Number.NaN);
    for (const [at, file] of run.files.entries()) {
      if (!isLive(source, at)) continue;
      shifts[at] = rows - run.firstPositions[at]!;
      rows += file.rows;
      files.push(file);
    }
    return new Cursor(run, shifts);
  });
  assert(rows <= ROWS_MAX, 'merged runs have positions of 32 bits');
  const writer = new RunWriter(
    sources.reduce((entries, run) => entries + run.entries, 0),
    sink,
  );
  for (let least = leastOf(cursors); least !== undefined; least = leastOf(cursors)) {
    writer.add(least.high, least.low, least.position);
    least.advance();
  }
  writer.finish(files);
}

/** The entry of a source that is next; files that are gone are passed over. */
class Cursor {
  high = 0;
  low = 0;
  position = 0;
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
      const shift = this.#shifts[this.#run.fileOf(old)]!;
      if (Number.isNaN(shift)) continue;
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

function leastOf(cursors: readonly Cursor[]): Cursor | undefined {
  let least: Cursor | undefined;
  for (const cursor of cursors) {
    if (cursor.isDone) continue;
    if (least === undefined || isBelow(cursor, least)) least = cursor;
  }
  return least;
}

function isBelow(a: Cursor, b: Cursor): boolean {
  if (a.high !== b.high) return a.high < b.high;
  if (a.low !== b.low) return a.low < b.low;
  return a.position < b.position;
}
