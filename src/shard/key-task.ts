/** The parts of building a key index that take long, each for a thread: rows to fingerprints, those to a run, runs to one. */

import { SequentialFile, writeInPieces } from '../cache/index.ts';
import {
  countKeys,
  type Fingerprints,
  fingerprintRows,
  type KeyCount,
  KeyRun,
  mergeRuns,
  PageCache,
  RunBuilder,
  type RunFile,
  type RunSink,
  runInMemory,
} from '../keyindex/index.ts';
import { Block, decodeDataPage, decodeDictionaryPage, type LeafColumn, type PageContext } from '../parquet/index.ts';

/** Pages of one column that follow one another, and the dictionary that they may refer to. */
export interface KeyPages {
  readonly leaf: LeafColumn;
  readonly dictionary: Uint8Array | undefined;
  readonly pages: readonly { readonly bytes: Uint8Array; readonly rows: number }[];
  /** All of a page's context but what differs from page to page. */
  readonly context: Omit<PageContext, 'dictionaryRows' | 'dictionary' | 'expectedRows'>;
}

/** Fingerprints of rows, and the position of the first of these rows in the run to come. */
export interface RunPart {
  readonly fingerprints: Fingerprints;
  readonly firstPosition: number;
}

export type KeyTask =
  | { readonly kind: 'fingerprints'; readonly columns: readonly KeyPages[]; readonly rows: number }
  | {
      readonly kind: 'run';
      readonly parts: readonly RunPart[];
      readonly files: readonly RunFile[];
      readonly to: string | undefined;
    }
  | {
      readonly kind: 'merge';
      /** Those in memory as they lie there, the others by the paths of their files. */
      readonly runs: readonly (Uint8Array | string)[];
      /** The path of the file that the run is written to; undefined where it is made in memory. */
      readonly to: string | undefined;
      /** By run, then by file of it: whether its rows stay. */
      readonly live: readonly (readonly boolean[])[];
    }
  | {
      readonly kind: 'count';
      readonly runs: readonly (Uint8Array | string)[];
      /** By run, then by file of it, as `countKeys` takes them. */
      readonly groups: readonly Int32Array[];
    };

/** Of each column's pages the same rows. Throws `corrupt` and `unsupported` as decoding does. */
export function fingerprintsOf({ columns, rows }: KeyTask & { readonly kind: 'fingerprints' }): Fingerprints {
  return fingerprintRows(
    columns.map(({ leaf }) => leaf),
    columns.map(blocksOf),
    rows,
  );
}

/** The run in memory; undefined where it was written to a file. */
export function runOf(task: KeyTask & { readonly kind: 'run' | 'merge' }): Uint8Array | undefined {
  const write = (sink: RunSink) => (task.kind === 'run' ? buildRun(task, sink) : mergeInto(task, sink));
  if (task.to === undefined) return runInMemory(write);
  writeInPieces(task.to, write);
  return undefined;
}

export function countOf({ runs, groups }: KeyTask & { readonly kind: 'count' }): KeyCount {
  return withRuns(runs, (opened) => countKeys(opened, groups));
}

function mergeInto({ runs, live }: KeyTask & { readonly kind: 'merge' }, sink: RunSink): void {
  withRuns(runs, (opened) => mergeRuns(opened, (run, file) => live[run]?.[file] === true, sink));
}

function withRuns<T>(runs: readonly (Uint8Array | string)[], use: (opened: readonly KeyRun[]) => T): T {
  const opened: KeyRun[] = [];
  try {
    for (const run of runs) opened.push(typeof run === 'string' ? openInOrder(run) : KeyRun.open(run));
    return use(opened);
  } finally {
    for (const run of opened) run.close();
  }
}

/** A run that is gone through page by page, of which nothing is kept. */
function openInOrder(path: string): KeyRun {
  const cache = new PageCache({ bytesMax: () => 0, onBytes: () => undefined });
  const file = new SequentialFile(path);
  try {
    return KeyRun.openStored(file, { cache, onDamage: () => undefined, counts: { reads: 0, hits: 0 } });
  } catch (thrown) {
    file.close();
    throw thrown;
  }
}

function blocksOf({ dictionary: page, pages, context }: KeyPages): readonly Block[] {
  const plain = { ...context, dictionaryRows: undefined, dictionary: undefined, expectedRows: undefined };
  const dictionary = page && Block.open(decodeDictionaryPage(page, plain));
  return pages.flatMap(({ bytes, rows }) => {
    const { blocks } = decodeDataPage(bytes, { ...plain, dictionaryRows: dictionary?.rows, expectedRows: rows });
    return blocks.map((buffer) => {
      const block = Block.open(buffer);
      if (block.kind === 'CODES') block.dictionary = dictionary;
      return block;
    });
  });
}

function buildRun({ parts, files }: KeyTask & { readonly kind: 'run' }, sink: RunSink): void {
  const builder = new RunBuilder(parts.reduce((keys, { fingerprints }) => keys + fingerprints.count, 0));
  for (const { fingerprints, firstPosition } of parts) {
    const { count, high, low, row } = fingerprints;
    for (let at = 0; at < count; at++) builder.add(high[at] ?? 0, low[at] ?? 0, firstPosition + (row[at] ?? 0));
  }
  builder.finish(files, sink);
}
