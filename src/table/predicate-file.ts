/**
 * A predicate as one file can answer it: fields are leaves of the file, what its folder decides is decided, and what it
 * lacks is null.
 *
 * Runs of rows are judged by what the file says of them, without a look at a value; rows by the values in their blocks,
 * those of a dictionary once for all rows that share it. Where a cast stands between the file's type and the table's,
 * bounds say nothing, since a cast need not keep the order, and each value is cast before it is compared.
 */

import { type Block, type KeyValue, keyValueAt, type LeafColumn, type Shape } from '../parquet/index.ts';
import { type Cast, castBetween } from './cast.ts';
import type { FileMapping } from './file-mapping.ts';
import { valueLeaf } from './nested-type.ts';
import { folderValue, type Partition } from './partition.ts';
import {
  isWithin,
  type Predicate,
  type PredicateField,
  pointsIn,
  type RunFacts,
  type Tri,
  triAnd,
  triOfTest,
  triOr,
  type ValueTest,
} from './predicate.ts';

/** One leaf of the file under test. */
export class LeafTest {
  readonly kind = 'leaf';
  readonly leaf: LeafColumn;
  readonly test: ValueTest;
  readonly #cast: Cast | undefined;
  #points: { readonly values: readonly KeyValue[] | undefined } | undefined = undefined;
  readonly #ofDictionary = new WeakMap<Block, Uint8Array>();

  constructor(leaf: LeafColumn, cast: Cast | undefined, test: ValueTest) {
    this.leaf = leaf;
    this.test = test;
    this.#cast = cast;
  }

  get position(): number {
    return this.leaf.ordinal;
  }

  /** Whether bounds and filters of the file say something of the values that are tested. */
  get isByFileType(): boolean {
    return this.#cast === undefined || this.test.kind !== 'within';
  }

  /** The single values that it admits; undefined where it admits ranges. */
  get points(): readonly KeyValue[] | undefined {
    this.#points ??= { values: pointsIn(this.test) };
    return this.#points.values;
  }

  judge(facts: RunFacts): Tri {
    const nulls = this.leaf.maxDefinitionLevel === 0 ? 0 : facts.nulls;
    const { bounds } = facts;
    if (this.isByFileType) return triOfTest(this.test, { ...facts, nulls });
    const hasOnly = bounds?.allNull === true || (nulls !== undefined && nulls >= facts.rows);
    return hasOnly ? 'no' : 'maybe';
  }

  /** Sets a byte for each of the block's rows [from, to): 1 where it passes. */
  mark(block: Block, from: number, to: number, marks: Uint8Array): void {
    const { test } = this;
    const { levels } = block;
    const present = this.leaf.maxDefinitionLevel;
    const isNull = (row: number) => (levels === undefined ? block.isNull(row) : levels.definitionAt(row) < present);
    if (test.kind !== 'within') {
      const wanted = test.kind === 'is null';
      for (let row = from; row < to; row++) marks[row - from] = isNull(row) === wanted ? 1 : 0;
      return;
    }
    const passes = this.#passing(block, test);
    for (let row = from; row < to; row++) marks[row - from] = !isNull(row) && passes(row) ? 1 : 0;
  }

  #passing(block: Block, test: ValueTest & { readonly kind: 'within' }): (row: number) => boolean {
    const { dictionary } = block;
    if (!block.isOfCodes || dictionary === undefined) return this.#passingValues(block, test);
    let marks = this.#ofDictionary.get(dictionary);
    if (marks === undefined) {
      const passes = this.#passingValues(dictionary, test);
      marks = Uint8Array.from({ length: dictionary.rows }, (_, row) => (passes(row) ? 1 : 0));
      this.#ofDictionary.set(dictionary, marks);
    }
    const ofCodes = marks;
    return (row) => ofCodes[block.codeAt(row)] === 1;
  }

  #passingValues(block: Block, { leaf, intervals }: ValueTest & { readonly kind: 'within' }): (row: number) => boolean {
    const cast = this.#cast;
    const own = this.leaf;
    return (row) => {
      const value = valueAt(block, own, row);
      return isWithin(leaf, intervals, cast === undefined ? value : cast.forward(value));
    };
  }
}

/** As a key, but bytes stay where they are: they are compared at once. */
function valueAt(block: Block, leaf: LeafColumn, row: number): KeyValue {
  const { kind } = leaf.logicalType;
  const isPlainBytes = leaf.physicalType.endsWith('BYTE_ARRAY') && kind !== 'DECIMAL' && kind !== 'FLOAT16';
  return isPlainBytes ? block.bytesAt(row) : keyValueAt(block, leaf, row);
}

export type FilePredicate =
  | { readonly kind: 'constant'; readonly state: 'no' | 'all' }
  | LeafTest
  | { readonly kind: 'and' | 'or'; readonly parts: readonly FilePredicate[] };

const NO: FilePredicate = { kind: 'constant', state: 'no' };
const ALL: FilePredicate = { kind: 'constant', state: 'all' };

export function filePredicate(
  predicate: Predicate | undefined,
  mapping: FileMapping,
  leaves: readonly LeafColumn[],
  partition: Partition,
): FilePredicate {
  if (predicate === undefined) return ALL;
  if (predicate.kind === 'test') return fileTest(predicate.field, predicate.test, mapping, leaves, partition);
  const parts = predicate.parts.map((part) => filePredicate(part, mapping, leaves, partition));
  return joined(predicate.kind, parts);
}

function joined(kind: 'and' | 'or', parts: readonly FilePredicate[]): FilePredicate {
  const [decides, changesNothing] = kind === 'and' ? (['no', 'all'] as const) : (['all', 'no'] as const);
  const is = (part: FilePredicate, state: Tri) => part.kind === 'constant' && part.state === state;
  if (parts.some((part) => is(part, decides))) return decides === 'no' ? NO : ALL;
  const open = parts.filter((part) => !is(part, changesNothing));
  if (open.length === 0) return changesNothing === 'no' ? NO : ALL;
  return open.length === 1 ? (open[0] as FilePredicate) : { kind, parts: open };
}

function fileTest(
  field: PredicateField,
  test: ValueTest,
  mapping: FileMapping,
  leaves: readonly LeafColumn[],
  partition: Partition,
): FilePredicate {
  const { column, path } = field;
  if (column.partition !== undefined) return constant(test, folderValue({ partition }, column)?.key);
  if (path.length === 0) {
    const leaf = leaves[mapping.leafPositions[column.ordinal] ?? -1];
    return leaf === undefined ? constant(test, undefined) : new LeafTest(leaf, mapping.casts?.[column.ordinal], test);
  }
  const shape = mapping.nested?.[column.ordinal];
  const leaf = shape && leafAt(shape, path);
  if (leaf === undefined || field.leaf === undefined) return constant(test, undefined);
  const isOnlyNulls = leaf.logicalType.kind === 'UNKNOWN' && field.leaf.logicalType.kind !== 'UNKNOWN';
  if (isOnlyNulls) return constant(test, undefined);
  const cast = castBetween(valueLeaf(leaf), field.leaf);
  return new LeafTest(leaf, typeof cast === 'string' ? undefined : cast, test);
}

/** Of rows that all have one value, or null. */
function constant(test: ValueTest, value: KeyValue | undefined): FilePredicate {
  if (test.kind === 'is null') return value === undefined ? ALL : NO;
  if (test.kind === 'is not null') return value === undefined ? NO : ALL;
  return value !== undefined && isWithin(test.leaf, test.intervals, value) ? ALL : NO;
}

function leafAt(shape: Shape, path: readonly string[]): LeafColumn | undefined {
  const [name, ...rest] = path;
  if (name === undefined) return shape.kind === 'value' ? shape.leaf : undefined;
  if (shape.kind !== 'struct') return undefined;
  const field = shape.fields.find((candidate) => candidate.name === name);
  return field && leafAt(field.shape, rest);
}

/** What a folder decides of a file that cannot be read. */
export function judgeFolder(predicate: Predicate | undefined, partition: Partition): Tri {
  if (predicate === undefined) return 'all';
  if (predicate.kind !== 'test') {
    const states = predicate.parts.map((part) => judgeFolder(part, partition));
    return predicate.kind === 'and' ? triAnd(states) : triOr(states);
  }
  if (predicate.field.column.partition === undefined) return 'maybe';
  const decided = constant(predicate.test, folderValue({ partition }, predicate.field.column)?.key);
  return decided.kind === 'constant' ? decided.state : 'maybe';
}

/** By what is known of each leaf. */
export function judge(predicate: FilePredicate, ofLeaf: (leaf: LeafTest) => Tri): Tri {
  if (predicate.kind === 'constant') return predicate.state;
  if (predicate.kind === 'leaf') return ofLeaf(predicate);
  const states = predicate.parts.map((part) => judge(part, ofLeaf));
  return predicate.kind === 'and' ? triAnd(states) : triOr(states);
}

/** The same predicate without what is decided of a run of rows. */
export function narrowed(predicate: FilePredicate, ofLeaf: (leaf: LeafTest) => Tri): FilePredicate {
  if (predicate.kind === 'constant') return predicate;
  if (predicate.kind === 'leaf') {
    const state = ofLeaf(predicate);
    return state === 'maybe' ? predicate : state === 'no' ? NO : ALL;
  }
  return joined(
    predicate.kind,
    predicate.parts.map((part) => narrowed(part, ofLeaf)),
  );
}

export function leafTests(predicate: FilePredicate): readonly LeafTest[] {
  if (predicate.kind === 'constant') return [];
  return predicate.kind === 'leaf' ? [predicate] : predicate.parts.flatMap(leafTests);
}

/** A byte for each row [start, end) of a row group, 1 where it passes; `blockAt` has the block of a leaf that holds them all. */
export function markRows(
  predicate: FilePredicate,
  start: number,
  end: number,
  blockAt: (position: number) => { readonly block: Block; readonly firstRow: number },
): Uint8Array {
  const marks = new Uint8Array(end - start);
  if (predicate.kind === 'constant') return marks.fill(predicate.state === 'all' ? 1 : 0);
  if (predicate.kind === 'leaf') {
    const { block, firstRow } = blockAt(predicate.position);
    predicate.mark(block, start - firstRow, end - firstRow, marks);
    return marks;
  }
  const isAnd = predicate.kind === 'and';
  if (isAnd) marks.fill(1);
  for (const part of predicate.parts) {
    const own = markRows(part, start, end, blockAt);
    for (let i = 0; i < marks.length; i++)
      marks[i] = isAnd ? (marks[i] as number) & (own[i] as number) : (marks[i] as number) | (own[i] as number);
  }
  return marks;
}
