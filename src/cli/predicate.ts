/** `--where`: the predicates of queries, asked of the stretches of a plain scan. */

import type { Stretch } from '../shard/index.ts';
import {
  type BlockAt,
  type FilePredicate,
  fieldsOf,
  filePredicate,
  markRows,
  type Predicate,
  parseExactJson,
  parsePredicateText,
  positionsOf,
  type Snapshot,
  type SnapshotReadableFile,
  type TableColumn,
} from '../table/index.ts';

export class ScanPredicate {
  /** The columns that have to be scanned for it. */
  readonly columns: readonly TableColumn[];
  readonly #predicate: Predicate | undefined;
  readonly #ofFiles = new WeakMap<SnapshotReadableFile, FilePredicate>();

  constructor(snapshot: Snapshot, texts: readonly string[]) {
    const parts = texts.map((text) => parsePredicateText(snapshot, text, parseExactJson));
    this.#predicate = parts.length === 0 ? undefined : { kind: 'and', parts };
    const fields = this.#predicate === undefined ? [] : fieldsOf(this.#predicate);
    this.columns = [...new Set(fields.map(({ column }) => column))];
  }

  in(file: SnapshotReadableFile): FilePredicate {
    let known = this.#ofFiles.get(file);
    if (known === undefined) {
      known = filePredicate(this.#predicate, file.mapping, file.file.index.schema.leaves, file.partition);
      this.#ofFiles.set(file, known);
    }
    return known;
  }

  /** Whether what the file's folder decides leaves it anything. */
  mayHoldIn(file: SnapshotReadableFile): boolean {
    const inFile = this.in(file);
    return inFile.kind !== 'constant' || inFile.state !== 'no';
  }
}

/** The rows of a stretch that pass; the predicate's columns were scanned from column `first` on. */
export function* rowsThatMatch(stretch: Stretch, predicate: ScanPredicate, first: number): Iterable<number> {
  const { file, start, end, blocks, nested } = stretch;
  const byPosition = new Map<number, BlockAt>();
  for (const [i, column] of predicate.columns.entries()) {
    const own = blocks[first + i];
    const leaves = nested[first + i] ?? (own === undefined ? [] : [own]);
    for (const [leaf, position] of positionsOf(file.mapping, column).entries()) {
      const at = leaves[leaf];
      if (at !== undefined) byPosition.set(position, at);
    }
  }
  const marks = markRows(predicate.in(file), start, end, (position) => byPosition.get(position) as BlockAt);
  for (let row = start; row < end; row++) if (marks[row - start] === 1) yield row;
}
