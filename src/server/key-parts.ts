/** A request's key, from the raw parts of its path or from a JSON body, as the values that the engine searches. */

import { ServiceError } from '../core/index.ts';
import { ExactNumber, type Key, parseKeyJson, parseKeyText, type Snapshot } from '../table/index.ts';
import { decodeKeyPart, KEY_BYTES_MAX, keyTooLong } from './target.ts';

export function keyFromPath(snapshot: Snapshot, parts: readonly string[]): Key {
  const leaves = snapshot.keyLeaves;
  if (parts.length !== leaves.length) throw wrongParts(snapshot, parts.length);
  return leaves.map((leaf, i) => parseKeyText(leaf, decodeKeyPart(parts[i] ?? '')));
}

/** A key of one column is that value or an array of it; a composite key is an array. */
export function keyFromJson(snapshot: Snapshot, given: unknown): Key {
  const leaves = snapshot.keyLeaves;
  const parts: readonly unknown[] = Array.isArray(given) ? given : [given];
  if (parts.length !== leaves.length) throw wrongParts(snapshot, parts.length);
  return leaves.map((leaf, i) => {
    const part = parts[i];
    const text = typeof part === 'string' ? part : part instanceof ExactNumber ? part.source : '';
    if (text.length * 3 > KEY_BYTES_MAX && Buffer.byteLength(text) > KEY_BYTES_MAX) throw keyTooLong(text);
    return parseKeyJson(leaf, part);
  });
}

function wrongParts(snapshot: Snapshot, given: number): ServiceError {
  const columns = snapshot.definition.key;
  const count = columns.length === 1 ? '1 part' : `${columns.length} parts`;
  const path = columns.map((column) => `{${column}}`).join('/');
  const message = `the key of table ${snapshot.definition.name} has ${count}, ${columns.join(', ')}, but ${given} came: write ${path} in a URL (a slash inside a part is %2F) or [${columns.join(', ')}] in a body`;
  return new ServiceError('invalid', 'bad_key', message, { key: columns, given });
}
