/**
 * `only: {dt: latest}`: which of a table's partitions are served.
 *
 * The columns choose one after another: of the objects that the first leaves, the second has the greatest or a fixed
 * value, and so on. What lies in no folder of one of them, or in that of null, is never chosen. Where a `_SUCCESS` is
 * required, what lies in a folder without one is left out before anything is chosen, so that the next smaller value is
 * served while the greatest is being written; with several columns the folder is that of the innermost.
 */

import { ServiceError } from '../core/index.ts';
import { compareKeys, type KeyValue } from '../parquet/index.ts';
import type { ObjectMeta } from '../storage/index.ts';
import { typeText } from './column-type.ts';
import type { PartitionChoice } from './definition.ts';
import { type PartitionColumn, partitionKey, type TablePartitions } from './partition.ts';

/** `succeeded`: the folders that hold a `_SUCCESS`, by whole key with the slash; undefined where none is required. */
export function chosenObjects(
  objects: readonly ObjectMeta[],
  choices: readonly PartitionChoice[],
  partitions: TablePartitions,
  succeeded: ReadonlySet<string> | undefined,
): readonly ObjectMeta[] {
  const columns = choices.map((choice) => partitions.columns.findIndex(({ name }) => name === choice.name));
  let left = objects.filter(({ key }) => {
    const partition = partitions.of(key);
    if (columns.some((at) => partition[at] === undefined)) return false;
    return succeeded === undefined || hasSucceeded(key, choices, partitions, succeeded);
  });
  for (const [i, choice] of choices.entries()) {
    const at = columns[i] ?? -1;
    const column = partitions.columns[at];
    if (column === undefined) return [];
    const keyOf = ({ key }: ObjectMeta) => partitions.of(key)[at]?.key;
    const wanted = choice.kind === 'latest' ? greatest(column, left.map(keyOf)) : fixedKey(column, choice.text);
    left = left.filter((object) => isSame(column, keyOf(object), wanted));
  }
  return left;
}

function hasSucceeded(
  key: string,
  choices: readonly PartitionChoice[],
  partitions: TablePartitions,
  succeeded: ReadonlySet<string>,
): boolean {
  const innermost = partitions.foldersOf(key).findLast(({ name }) => choices.some((choice) => choice.name === name));
  return innermost !== undefined && succeeded.has(partitions.folderKey(key, innermost));
}

function fixedKey(column: PartitionColumn, text: string): KeyValue {
  const key = partitionKey(column, text);
  if (key !== undefined) return key;
  const message = `\`only\` asks for ${column.name}: ${JSON.stringify(text)}, which is no ${typeText(column.type)}`;
  throw new ServiceError('unavailable', 'bad_partition_value', message, { column: column.name, value: text });
}

function greatest({ leaf }: PartitionColumn, keys: readonly (KeyValue | undefined)[]): KeyValue | undefined {
  let best: KeyValue | undefined;
  for (const key of keys) {
    if (key !== undefined && (best === undefined || compareKeys(leaf, key, best) > 0)) best = key;
  }
  return best;
}

function isSame({ leaf }: PartitionColumn, key: KeyValue | undefined, wanted: KeyValue | undefined): boolean {
  return key !== undefined && wanted !== undefined && compareKeys(leaf, key, wanted) === 0;
}
