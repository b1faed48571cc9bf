/** A whole run in memory that threads may share, since a run is merged in a thread and probed here. */

import type { RunSink } from './run-writer.ts';

export function runInMemory(write: (sink: RunSink) => void): Uint8Array {
  const parts: Uint8Array[] = [];
  let length = 0;
  write((bytes) => {
    parts.push(bytes);
    length += bytes.length;
  });
  const run = new Uint8Array(new SharedArrayBuffer(length));
  let at = 0;
  for (const part of parts) {
    run.set(part, at);
    at += part.length;
  }
  return run;
}
