/** The keys of a load: a range of integers, the lines of a file, or the key columns of a source. */

import { readFileSync } from 'node:fs';
import { type KeySpace, seededRandom } from '../bench/index.ts';
import { ServiceError } from '../core/index.ts';
import type { LeafColumn } from '../parquet/index.ts';
import { type Stretch, scan } from '../shard/index.ts';
import { folderValue, type Key, keyPath, type TableColumn, tableValueAt } from '../table/index.ts';
import type { OneTable } from './one-table.ts';
import { UsageError } from './usage.ts';

/** Of more keys every second, third, ... is taken. */
const KEYS_MAX = 1_000_000;
/** Made beforehand, so that none is made while it is measured. */
const ABSENT_KEYS = 10_000;
const TRIES = 20;
const FILE_BYTES_MAX = 2 ** 29;

export function keysOfRange(text: string): KeySpace {
  const [, first, last] = /^(-?[0-9]{1,16})\.\.(-?[0-9]{1,16})$/.exec(text)?.map(Number) ?? [];
  const count = Number(last) - Number(first) + 1;
  if (first === undefined || !(count >= 1) || !Number.isSafeInteger(first + 2 * count)) {
    throw new UsageError(`--range ${text} is no range of integers; write the first and the last as 1..1000000`);
  }
  return { kind: 'range', first, count };
}

/** One key a line; the parts of a composite one are percent-encoded and joined by `/`. */
export function keysOfFile(path: string, parts: number | undefined, absentShare: number, seed: number): KeySpace {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (thrown) {
    throw new UsageError(`--keys-file ${path} cannot be read: ${(thrown as Error).message}`);
  }
  if (text.length > FILE_BYTES_MAX) throw new UsageError(`--keys-file ${path} has more than 512 MiB`);
  const lines = text.split(/\r?\n/).filter((line) => line !== '');
  if (lines.length === 0) throw new UsageError(`--keys-file ${path} has no keys; write one a line`);
  const kept = everyNth(lines, Math.ceil(lines.length / KEYS_MAX));
  const paths =
    parts !== undefined && parts > 1 ? kept.map((line) => composite(line, parts, path)) : kept.map(encodeURIComponent);
  const isInteger = paths.every((key) => /^-?(0|[1-9][0-9]*)$/.test(key));
  const isWhole = kept.length === lines.length;
  return { kind: 'list', paths, absent: absentShare === 0 ? [] : absentKeys(paths, isInteger, isWhole, seed) };
}

function composite(line: string, parts: number, path: string): string {
  if (line.split('/').length !== parts || !URL.canParse(`http://host/${line}`)) {
    throw new UsageError(
      `--keys-file ${path}: ${line} has not the ${parts} parts of the table's key, percent-encoded and joined by /`,
    );
  }
  return line;
}

/** The keys of a table's rows, in their order. A key that a URL cannot carry is left out, as is a null. */
export async function keysOfSource({ node, snapshot }: OneTable, absentShare: number, seed: number): Promise<KeySpace> {
  const { keyColumns, keyLeaves } = snapshot;
  const stride = Math.max(1, Math.ceil(snapshot.rows / KEYS_MAX));
  const seen = new Set<string>();
  let position = 0;
  for await (const stretch of scan(node.loader, snapshot, keyColumns, new AbortController().signal)) {
    for (let row = stretch.start; row < stretch.end; row++, position++) {
      if (position % stride !== 0) continue;
      const path = pathAt(stretch, keyColumns, keyLeaves, 0, row);
      if (path !== undefined) seen.add(path);
    }
  }
  const paths = [...seen];
  if (paths.length === 0) {
    throw new ServiceError('invalid', 'no_keys', `${snapshot.definition.source} has no key that a URL can carry`);
  }
  if (absentShare === 0) return { kind: 'list', paths, absent: [] };
  const last = keyLeaves.at(-1);
  return { kind: 'list', paths, absent: absentKeys(paths, last !== undefined && isInteger(last), stride === 1, seed) };
}

/** The key of a row whose key columns were scanned from column `first` on. */
export function pathAt(
  { file, blocks }: Stretch,
  columns: readonly TableColumn[],
  leaves: readonly LeafColumn[],
  first: number,
  row: number,
): string | undefined {
  const key: Key[number][] = [];
  for (const [i, column] of columns.entries()) {
    const inFolder = column.partition === undefined ? undefined : folderValue(file, column);
    const at = blocks[first + i];
    if (inFolder !== undefined) key.push(inFolder.key);
    else if (at === undefined || at.block.isNull(row - at.firstRow)) return undefined;
    else key.push(tableValueAt(file.mapping, file.file.index.schema, column, at.block, row - at.firstRow));
  }
  return keyPath(leaves, key);
}

function isInteger({ physicalType, logicalType }: LeafColumn): boolean {
  const isPlain = logicalType.kind === 'NONE' || logicalType.kind === 'INTEGER';
  return isPlain && (physicalType === 'INT32' || physicalType === 'INT64');
}

/**
 * Keys that are none of these, told by their last part. Integers lie in the gaps between the known ones, where bounds do
 * not rule them out, or behind the last one where there are no gaps or not all keys are known; texts are a known one with
 * an end of our own.
 */
function absentKeys(paths: readonly string[], isInteger: boolean, isWhole: boolean, seed: number): readonly string[] {
  const random = seededRandom(seed);
  const known = new Set(paths);
  const lasts = isInteger
    ? BigInt64Array.from(paths, (path) => BigInt(path.slice(path.lastIndexOf('/') + 1))).sort()
    : [];
  const [min = 0n] = lasts;
  const max = lasts.at(-1) ?? 0n;
  const width = Number(max - min) + 1;
  return Array.from({ length: ABSENT_KEYS }, (_, i) => {
    const like = paths[Math.floor(random() * paths.length)] ?? '';
    if (!isInteger) return `${like}~${i}`;
    const before = like.slice(0, like.lastIndexOf('/') + 1);
    for (let tries = 0; isWhole && tries < TRIES; tries++) {
      const path = before + (min + BigInt(Math.floor(random() * width)));
      if (!known.has(path)) return path;
    }
    return before + (max + 1n + BigInt(i));
  });
}

function everyNth<T>(all: readonly T[], stride: number): readonly T[] {
  return stride <= 1 ? all : all.filter((_, i) => i % stride === 0);
}
