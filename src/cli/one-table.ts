/** A node with one table made from a URI, for the commands that need no server. */

import { INDEXES_SHARE } from '../cache/index.ts';
import { assert } from '../core/index.ts';
import { createNode, type NodeOptions, type PointlakeNode } from '../main.ts';
import { parseSourceUri, tableNameOf } from '../storage/index.ts';
import { type IndexMode, type Snapshot, type Table, type TableDefinition, tableDefinition } from '../table/index.ts';
import { defaultConfig, type NodeConfig, readConfig } from './config.ts';
import { asUsage, UsageError } from './usage.ts';

export interface OneTable {
  readonly node: PointlakeNode;
  readonly table: Table;
  readonly snapshot: Snapshot;
  /** By key of the snapshot: how its index is defined, whatever is done about it here. */
  readonly indexModes: readonly IndexMode[];
  /** As they are configured. */
  readonly limits: NodeConfig['limits'];
  /** Of all that the configuration gives, what key indexes may take. */
  readonly indexRoom: IndexRoom;
}

/** What a server may give key indexes, all of them together. */
export interface IndexRoom {
  readonly memoryBytes: number;
  readonly diskBytes: number;
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
  const config = defaultConfig();
  const { s3, cacheMemoryBytes } = config;
  return withNode({ cacheMemoryBytes, s3, ...options, tables: [{ ...definition, index: 'auto' }] }, config, use);
}

/**
 * The same for a table of a configuration. A server's disk is its own, and no key index is built: that would take longer
 * than to search.
 */
export function withConfiguredTable<T>(
  path: string,
  name: string,
  use: (opened: OneTable) => Promise<T>,
  options: Pick<OneTableOptions, 'wrapStores'> = {},
): Promise<T> {
  const config = asUsage(() => readConfig(path, process.env));
  const definition = config.tables.find((table) => table.name === name);
  if (definition === undefined) {
    const known = config.tables.map((table) => table.name).join(', ') || 'none';
    throw new UsageError(`${path} has no table ${JSON.stringify(name)}; its tables are: ${known}`);
  }
  return withNode({ ...config, ...options, disk: undefined, tables: [definition] }, config, use);
}

async function withNode<T>(
  options: NodeOptions,
  { limits, disk }: NodeConfig,
  use: (opened: OneTable) => Promise<T>,
): Promise<T> {
  const node = createNode({ ...options, tables: options.tables.map((definition) => withIndex(definition, 'none')) });
  try {
    const [table] = node.catalog.tables();
    const [definition] = options.tables;
    assert(table !== undefined && definition !== undefined, 'the node was made with a table');
    const indexModes = [definition.index, ...definition.keys.map(({ index }) => index)];
    const indexRoom = {
      memoryBytes: Math.floor(node.tier.budget.limitBytes('keys')),
      diskBytes: Math.floor((disk?.sizeBytes ?? 0) * INDEXES_SHARE),
    };
    return await use({ node, table, snapshot: await table.refresh(), indexModes, limits, indexRoom });
  } finally {
    await node.close();
  }
}

/** The table with all its keys indexed alike. */
export function withIndex(definition: TableDefinition, index: IndexMode): TableDefinition {
  return { ...definition, index, keys: definition.keys.map((key) => ({ ...key, index })) };
}

/** Waits where the reader of stdout is slower than we are. */
export async function writeOut(text: string): Promise<void> {
  if (!process.stdout.write(text)) await new Promise<void>((resolve) => process.stdout.once('drain', resolve));
}
