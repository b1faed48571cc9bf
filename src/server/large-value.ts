/** What a row answers in place of a value that is too large for it: how large the value is, and where it is to be had. */

import { ServiceError } from '../core/index.ts';
import type { LookupItem } from '../shard/index.ts';
import { type Key, keyPath, type Snapshot } from '../table/index.ts';

/** The same error with the value's own URL, where it is one of a value too large for its row; `path` is the key's, encoded. */
export function withValueUrl(thrown: unknown, table: string, path: string | undefined): unknown {
  if (path === undefined || !(thrown instanceof ServiceError) || thrown.code !== 'value_too_large') return thrown;
  const { kind, message, context } = thrown;
  const url = `/v1/tables/${encodeURIComponent(table)}/values/${encodeURIComponent(String(context.column))}/${path}`;
  const advice = `${message}; ask for it alone at ${url}, or for other columns`;
  return new ServiceError(kind, 'value_too_large', advice, { ...context, url });
}

/** The same for a key of a lookup; only of its first row, since a value's URL has no other. */
export function itemWithValueUrl(
  item: LookupItem,
  snapshot: Snapshot,
  key: Key | ServiceError | undefined,
): LookupItem {
  if (!('error' in item) || item.error.code !== 'value_too_large') return item;
  const path = key instanceof ServiceError || key === undefined ? undefined : keyPath(snapshot.keyLeaves, key);
  if (path === undefined) return item;
  const { kind, code, message, context } = item.error;
  const error = withValueUrl(new ServiceError(kind, code, message, context), snapshot.definition.name, path);
  return error instanceof ServiceError ? { status: 'error', error: error.toPlain() } : item;
}
