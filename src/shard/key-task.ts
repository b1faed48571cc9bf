/** The parts of building a key index that take long, each for a thread: rows to fingerprints, those to a run, runs to one. */

import {
  type Fingerprints,
  fingerprintRows,
  KeyRun,
  mergeRuns,
  RunBuilder,
  type RunFile,
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
  | { readonly kind: 'run'; readonly parts: readonly RunPart[]; readonly files: readonly RunFile[] }
  | {
      readonly kind: 'merge';
      readonly runs: readonly Uint8Array[];
      /** By run, then by file of it: whether its rows stay. */
      readonly live: readonly (readonly boolean[])[];
    };

/** Of each column's pages the same rows. Throws `corrupt` and `unsupported` as decoding does. */
export function fingerprintsOf({ columns, rows }: KeyTask & { readonly kind: 'fingerprints' }): Fingerprints {
  return fingerprintRows(
    columns.map(({ leaf }) => leaf),
    columns.map(blocksOf),
    rows,
  );
}

export function runOf(task: KeyTask & { readonly kind: 'run' | 'merge' }): Uint8Array {
  if (task.kind === 'run') return builtRun(task.parts, task.files);
  const runs = task.runs.map((run) => KeyRun.open(run));
  return runInMemory((sink) => mergeRuns(runs, (run, file) => task.live[run]?.[file] === true, sink));
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

function builtRun(parts: readonly RunPart[], files: readonly RunFile[]): Uint8Array {
  const builder = new RunBuilder(parts.reduce((keys, { fingerprints }) => keys + fingerprints.count, 0));
  for (const { fingerprints, firstPosition } of parts) {
    const { count, high, low, row } = fingerprints;
    for (let at = 0; at < count; at++) builder.add(high[at] ?? 0, low[at] ?? 0, firstPosition + (row[at] ?? 0));
  }
  return runInMemory((sink) => builder.finish(files, sink));
}
