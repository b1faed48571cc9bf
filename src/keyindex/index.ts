/** The key index room: fingerprints of keys to rows, in sorted immutable runs. Knows no table and does no I/O. */

export { type Fingerprints, fingerprintKey, fingerprintRows } from './fingerprint.ts';
export { countKeys, type KeyCount } from './key-count.ts';
export { KeyHash } from './key-hash.ts';
export { KeyRun } from './key-run.ts';
export { PageCache } from './page-cache.ts';
export { RunBuilder } from './run-builder.ts';
export { runInMemory } from './run-bytes.ts';
export type { RunFile } from './run-layout.ts';
export { mergeRuns } from './run-merge.ts';
export type { RunSink } from './run-writer.ts';
export type { PageCounts, PageKeeping, RunReader } from './stored-pages.ts';
