/** What is said of a mistake in the configuration: which keys there are in its place, and where it stands. */

import { isMap, isScalar, type Node } from 'yaml';
import { configSchema, diskSchema } from './config-schema.ts';
import { columnSchema, keyFields, quotaSchema, tableFields } from './config-tables.ts';

/** Keys that API.md promises and this version does not have yet, by the path of their parent. */
const LATER: Readonly<Record<string, readonly string[]>> = {
  '': ['cluster'],
  server: ['auth', 'tls'],
};

const STORAGE_KEYS: Readonly<Record<string, readonly string[]>> = {
  s3: ['endpoint', 'region', 'forcePathStyle', 'anonymous', 'requesterPays'],
  hedge: ['percentile', 'maxExtra'],
  coalesce: ['maxGap', 'maxMerged'],
  prices: ['get', 'list', 'transfer'],
};

export function explain(parent: readonly string[], unknown: string | undefined, message: string): string {
  if (unknown === undefined) return message;
  const place = parent[0] === 'tables' && parent.length === 2 ? 'tables.*' : parent.join('.');
  if (LATER[place]?.includes(unknown)) return 'not in this version';
  return `unknown key; expected one of ${knownKeys(parent).join(', ')}`;
}

function knownKeys(parent: readonly string[]): readonly string[] {
  const [section] = parent;
  if (section === 'tables') {
    if (parent[2] === 'schema') return Object.keys(columnSchema.shape);
    if (parent[2] === 'keys') return Object.keys(keyFields.shape);
    if (parent[2] === 'quota') return Object.keys(quotaSchema.shape);
    return Object.keys(parent.length > 2 ? { int64: 0, nonfinite: 0 } : tableFields.shape);
  }
  if (section === 'cache' && parent[1] === 'disk') return Object.keys(diskSchema.shape);
  if (parent.length > 1) return STORAGE_KEYS[parent[1] ?? ''] ?? [];
  const sections: Readonly<Record<string, readonly string[]>> = {
    server: ['host', 'port', 'workers'],
    storage: Object.keys(STORAGE_KEYS),
    parquet: ['verifyCrc'],
    cache: ['memory', 'rows', 'disk'],
    limits: ['keys', 'body', 'valueInRow', 'gets', 'bytes'],
  };
  return (section === undefined ? undefined : sections[section]) ?? Object.keys(configSchema.shape);
}

/** The node of a key itself, so that the line is that of the name; else the nearest parent. */
export function nodeAt(root: Node | null, path: readonly string[]): Node | null {
  let node: Node | null = root;
  let found: Node | null = root;
  for (const name of path) {
    if (!isMap(node)) break;
    const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === name);
    if (pair === undefined) break;
    found = pair.key as Node;
    node = pair.value as Node | null;
  }
  return found;
}
