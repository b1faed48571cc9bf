/**
 * Several runs into one, leaving out the rows of files that are gone.
 *
 * The sources are sorted, so one pass in the order of fingerprints is enough and holds nothing but the pages being
 * read and written. The rows of the files that stay are counted anew.
 */

import { assert } from '../core/index.ts';
import type { KeyRun } from './key-run.ts';
import { leastOf, RunCursor } from './run-cursor.ts';
import { ROWS_MAX, type RunFile } from './run-layout.ts';
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
    return new RunCursor(run, shifts);
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
