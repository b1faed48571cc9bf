/** How far a rewrite is: one line that is written over on a terminal, now and then a line elsewhere. */

import type { Clock } from '../core/index.ts';
import type { RewriteProgress } from '../rewrite/index.ts';

const TERMINAL_EVERY_MS = 250;
const LINE_EVERY_MS = 10_000;

interface Output {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

export interface ShownProgress {
  readonly report: (progress: RewriteProgress) => void;
  /** Leaves the terminal's line empty. */
  readonly end: () => void;
}

/** Without an output nothing is shown. */
export function rewriteProgress(rowsInAll: number, output: Output | undefined, clock: Clock): ShownProgress {
  const isTerminal = output?.isTTY === true;
  const everyMs = isTerminal ? TERMINAL_EVERY_MS : LINE_EVERY_MS;
  let shownMs = clock.nowMs();
  return {
    report({ step, rows }) {
      const nowMs = clock.nowMs();
      if (output === undefined || (nowMs - shownMs < everyMs && step !== 'commit')) return;
      shownMs = nowMs;
      const text = lineOf(step, rows, rowsInAll);
      output.write(isTerminal ? `\r\x1b[2K${text}` : `${text}\n`);
    },
    end() {
      if (isTerminal) output.write('\r\x1b[2K');
    },
  };
}

function lineOf(step: RewriteProgress['step'], rows: number, rowsInAll: number): string {
  if (step === 'commit') return `rewrite: ${rows} rows are written; giving them their names`;
  const share = rowsInAll === 0 ? 100 : Math.floor((100 * rows) / rowsInAll);
  return `rewrite: ${step === 'read' ? 'read and sorted' : 'written'} ${rows} of ${rowsInAll} rows (${share}%)`;
}
