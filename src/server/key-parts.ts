/** A request's key, from the raw parts of its path or from a JSON body, as the values that the engine searches. */

import { ServiceError } from '../core/index.ts';
import { ExactNumber, type Key, parseKeyJson, parseKeyText, type Snapshot, type TableKey } from '../table/index.ts';
import { decodeKeyPart, KEY_BYTES_MAX, keyTooLong } from './target.ts';

export function keyFromPath(snapshot: Snapshot, by: TableKey, parts: readonly string[]): Key {
  const { leaves } = by;
  if (parts.length !== leaves.length) throw wrongParts(snapshot, by, parts.length);
  return leaves.map((leaf, i) => parseKeyText(leaf, decodeKeyPart(parts[i] ?? '')));
}

/** A key of one column is that value or an array of it; a composite key is an array. */
export function keyFromJson(snapshot: Snapshot, given: unknown, by: TableKey = snapshot.primaryKey): Key {
  const { leaves } = by;
  const parts: readonly unknown[] = Array.isArray(given) ? given : [given];
  if (parts.length !== leaves.length) throw wrongParts(snapshot, by, parts.length);
  return valuesOf(leaves, parts);
}

/** The same, or only its leading parts: at least the first. */
export function leadingKeyFromJson(snapshot: Snapshot, given: unknown, by: TableKey = snapshot.primaryKey): Key {
  const { leaves } = by;
  const parts: readonly unknown[] = Array.isArray(given) ? given : [given];
  if (parts.length === 0 || parts.length > leaves.length) throw wrongParts(snapshot, by, parts.length);
  return valuesOf(leaves.slice(0, parts.length), parts);
}

function valuesOf(leaves: TableKey['leaves'], parts: readonly unknown[]): Key {
  return leaves.map((leaf, i) => {
    const part = parts[i];
    const text = typeof part === 'string' ? part : part instanceof ExactNumber ? part.source : '';
    if (text.length * 3 > KEY_BYTES_MAX && Buffer.byteLength(text) > KEY_BYTES_MAX) throw keyTooLong(text);
    return parseKeyJson(leaf, part);
  });
}

function wrongParts(snapshot: Snapshot, by: TableKey, given: number): ServiceError {
  const columns = by.columns.map(({ name }) => name);
  const key = by.name === undefined ? 'the key' : `the key ${by.name}`;
  const count = columns.length === 1 ? '1 part' : `${columns.length} parts`;
  const path = columns.map((column) => `{${column}}`).join('/');
  const message = `${key} of table ${snapshot.definition.name} has ${count}, ${columns.join(', ')}, but ${given} came: write ${path} in a URL (a slash inside a part is %2F) or [${columns.join(', ')}] in a body`;
  return new ServiceError('invalid', 'bad_key', message, { key: columns, given });
}
