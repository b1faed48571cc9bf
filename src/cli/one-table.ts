/** A node with one table made from a URI, for the commands that need no server. */

import { assert } from '../core/index.ts';
import { createNode, type NodeOptions, type PointlakeNode } from '../main.ts';
import { parseSourceUri, tableNameOf } from '../storage/index.ts';
import { type Snapshot, type Table, tableDefinition } from '../table/index.ts';
import { defaultConfig, readConfig } from './config.ts';
import { asUsage, UsageError } from './usage.ts';

export interface OneTable {
  readonly node: PointlakeNode;
  readonly table: Table;
  readonly snapshot: Snapshot;
}

type OneTableOptions = Partial<Pick<NodeOptions, 'wrapStores' | 'cacheMemoryBytes' | 's3'>>;

/** Opens the source, hands it to `use`, and closes everything whatever happens. */
export function withOneTable<T>(
  uri: string,
  key: readonly string[],
  use: (opened: OneTable) => Promise<T>,
  options: OneTableOptions = {},
): Promise<T> {
  const definition = asUsage(() => tableDefinition(tableNameOf(parseSourceUri(uri)), uri, key));
  const { s3, cacheMemoryBytes } = defaultConfig();
  return withNode({ cacheMemoryBytes, s3, ...options, tables: [definition] }, use);
}

/**
 * The same for a table of a configuration. A server's disk is its own, and no key index is built: that would take longer
 * than to search.
 */
export function withConfiguredTable<T>(path: string, name: string, use: (opened: OneTable) => Promise<T>): Promise<T> {
  const config = asUsage(() => readConfig(path, process.env));
  const definition = config.tables.find((table) => table.name === name);
  if (definition === undefined) {
    const known = config.tables.map((table) => table.name).join(', ') || 'none';
    throw new UsageError(`${path} has no table ${JSON.stringify(name)}; its tables are: ${known}`);
  }
  const keys = definition.keys.map((key) => ({ ...key, index: 'none' as const }));
  return withNode({ ...config, disk: undefined, tables: [{ ...definition, keys, index: 'none' }] }, use);
}

async function withNode<T>(options: NodeOptions, use: (opened: OneTable) => Promise<T>): Promise<T> {
  const node = createNode(options);
  try {
    const [table] = node.catalog.tables();
    assert(table !== undefined, 'the node was made with a table');
    return await use({ node, table, snapshot: await table.refresh() });
  } finally {
    await node.close();
  }
}

/** Waits where the reader of stdout is slower than we are. */
export async function writeOut(text: string): Promise<void> {
  if (!process.stdout.write(text)) await new Promise<void>((resolve) => process.stdout.once('drain', resolve));
}
