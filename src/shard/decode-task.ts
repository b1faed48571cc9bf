/** What crosses to a thread of the pool and back: plain data and transferred buffers, errors as plain objects. */

import { asServiceError, type PlainError } from '../core/index.ts';
import type { Fingerprints, KeyCount } from '../keyindex/index.ts';
import {
  blockCost,
  type DecodedPage,
  decodeBlockOf,
  decodeBlockOfPrefix,
  decodeCost,
  decodeDataPage,
  decodeDictionaryPage,
  type PageContext,
} from '../parquet/index.ts';
import { countOf, fingerprintsOf, type KeyTask, runOf } from './key-task.ts';

export interface DecodeTask {
  readonly kind: 'data' | 'dictionary';
  /** Page header and body. */
  readonly page: Uint8Array;
  readonly context: PageContext;
  /** Of a data page, the row of it that is wanted, where its block alone will do. */
  readonly row?: number | undefined;
}

/** What a data page of `pageBytes` begins with, of which the block of a row is wanted. */
export interface PrefixTask {
  readonly kind: 'prefix';
  readonly page: Uint8Array;
  readonly pageBytes: number;
  readonly context: PageContext;
  readonly row: number;
}

export type PoolTask = DecodeTask | PrefixTask | KeyTask;

/**
 * By the kind of task: a page, a block of it unless all of it has to be read, the fingerprints of rows, the bytes of a run unless it
 * was written to a file, a count.
 */
export type TaskOutcome = DecodedPage | Fingerprints | Uint8Array | KeyCount | undefined;

export type TaskResult =
  | { readonly ok: true; readonly outcome: TaskOutcome }
  | { readonly ok: false; readonly error: PlainError };

/** Decodes a page where it is called, or a block of it. A dictionary comes back as a page of one block. */
export function decodeHere(task: DecodeTask): DecodedPage {
  if (task.kind === 'data') {
    const block = task.row === undefined ? undefined : decodeBlockOf(task.row, task.page, task.context);
    return block ?? decodeDataPage(task.page, task.context);
  }
  const block = decodeDictionaryPage(task.page, task.context);
  return { rows: task.context.dictionaryRows ?? 0, shift: 31, blocks: [block] };
}

/** The block where it is called; undefined where what is there of the page does not give it. */
export function decodePrefixHere({ row, page, pageBytes, context }: PrefixTask): DecodedPage | undefined {
  return decodeBlockOfPrefix(row, page, pageBytes, context);
}

/** About how many microseconds that takes. */
export function costOf({ kind, page, context, row }: DecodeTask | PrefixTask): number {
  const ofBlock = row === undefined ? undefined : blockCost(row, page, context);
  // A prefix of a page that is decoded whole is seen to be of no use at once.
  return ofBlock ?? (kind === 'prefix' ? 0 : decodeCost(page, context));
}

/** Does the task with faults as data, for the far side of a thread boundary. */
export function resultOf(task: PoolTask): TaskResult {
  try {
    return { ok: true, outcome: outcomeOf(task) };
  } catch (thrown) {
    return { ok: false, error: asServiceError(thrown).toPlain() };
  }
}

/** The memory that is moved to the asking thread and not copied. A run is in memory that both share. */
export function movedWith(outcome: TaskOutcome): readonly ArrayBufferLike[] {
  if (outcome === undefined) return [];
  if ('blocks' in outcome) return outcome.blocks;
  if ('high' in outcome) return [outcome.high.buffer, outcome.low.buffer, outcome.row.buffer];
  return [];
}

function outcomeOf(task: PoolTask): TaskOutcome {
  switch (task.kind) {
    case 'data':
    case 'dictionary':
      return decodeHere(task);
    case 'prefix':
      return decodePrefixHere(task);
    case 'fingerprints':
      return fingerprintsOf(task);
    case 'run':
    case 'merge':
      return runOf(task);
    case 'count':
      return countOf(task);
  }
}
