/** Requests that work as printed, made from keys that are in the table. */

import { jsonWriter, type Key, keyJson, keyPath, type Snapshot, type TableColumn } from '../table/index.ts';

export interface Example {
  readonly what: string;
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: string;
}

/** Keys to make examples of. */
export const EXAMPLE_KEYS = 3;
const KEY_FORM = { int64: 'number', nonfinite: 'string' } as const;

/** A row, one bare value of it, and a lookup of them all. */
export function examplesOf(snapshot: Snapshot, keys: readonly Key[]): readonly Example[] {
  const table = `/v1/tables/${encodeURIComponent(snapshot.definition.name)}`;
  const leaves = snapshot.keyLeaves;
  const path = keys.map((key) => keyPath(leaves, key)).find((candidate) => candidate !== undefined);
  const examples: Example[] = [];
  if (path !== undefined) {
    examples.push({ what: 'one row', method: 'GET', path: `${table}/rows/${path}` });
    const column = valueColumn(snapshot);
    if (column !== undefined) {
      const value = `${table}/values/${encodeURIComponent(column.name)}/${path}`;
      examples.push({ what: 'one value, bare', method: 'GET', path: value });
    }
  }
  if (keys.length > 0) {
    const body = `{"keys":[${keys.map((key) => keyText(snapshot, key)).join(',')}]}`;
    examples.push({ what: 'several rows', method: 'POST', path: `${table}/lookup`, body });
  }
  return examples;
}

/** A readable column, rather not one of the key. */
function valueColumn(snapshot: Snapshot): TableColumn | undefined {
  const isReadable = (column: TableColumn) => {
    try {
      return column.leaf !== undefined && jsonWriter(column.leaf, KEY_FORM) !== undefined;
    } catch {
      return false;
    }
  };
  const readable = snapshot.columns.filter(isReadable);
  return readable.find((column) => !snapshot.keyColumns.includes(column)) ?? readable[0];
}

function keyText(snapshot: Snapshot, key: Key): string {
  const parts = snapshot.keyLeaves.map((leaf, i) => {
    const value = key[i];
    return value === undefined ? 'null' : keyJson(leaf, value);
  });
  return parts.length === 1 ? (parts[0] ?? 'null') : `[${parts.join(',')}]`;
}

/** A line for a shell. */
export function curlOf(example: Example, baseUrl: string): string {
  const url = shellQuoted(`${baseUrl}${example.path}`);
  if (example.body === undefined) return `curl -s ${url}`;
  return `curl -s ${url} -H 'content-type: application/json' -d ${shellQuoted(example.body)}`;
}

function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
