/** Shows how a long step goes on: one line that is rewritten on a terminal, a line a step elsewhere. */

import type { Report } from './dataset.ts';

const barWidth = 24;

export interface Output {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

export interface Progress {
  readonly report: Report;
  /** Ends with one line that stays. */
  finish(text: string): void;
}

export function showProgress(name: string, output: Output): Progress {
  let lastStep = '';
  return {
    report(step, done) {
      if (output.isTTY) output.write(`\r\x1b[2K${name}: ${bar(done)} ${step}`);
      else if (step !== lastStep) output.write(`${name}: ${step}\n`);
      lastStep = step;
    },
    finish(text) {
      output.write(`${output.isTTY ? '\r\x1b[2K' : ''}${name}: ${text}\n`);
    },
  };
}

function bar(done: number): string {
  const filled = Math.round(Math.max(0, Math.min(1, done)) * barWidth);
  return `[${'#'.repeat(filled)}${'.'.repeat(barWidth - filled)}]`;
}
