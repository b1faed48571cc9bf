/** Entries of runs as plain lists, and runs made of them. */

import { RunBuilder } from '../../src/keyindex/run-builder.ts';
import type { RunFile } from '../../src/keyindex/run-layout.ts';

export interface Entry {
  readonly high: number;
  readonly low: number;
  readonly position: number;
}

export function runBytes(entries: readonly Entry[], files: readonly RunFile[]): Uint8Array {
  const builder = new RunBuilder(entries.length);
  for (const { high, low, position } of entries) builder.add(high, low, position);
  const parts: Uint8Array[] = [];
  builder.finish(files, (bytes) => parts.push(bytes));
  return Uint8Array.from(Buffer.concat(parts));
}

/** Fingerprints of few values, so that they repeat over pages; and some at the ends of their range. */
export function randomEntries(random: () => number, count: number): readonly Entry[] {
  const spread = 2 ** Math.ceil(random() * 32);
  const kinds = Math.ceil(random() * 3);
  return Array.from({ length: count }, (_, position) => {
    const high = random() < 0.01 ? 2 ** 32 - 1 : Math.floor(random() * spread);
    return { high, low: Math.floor(random() * kinds), position };
  });
}
