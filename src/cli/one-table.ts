/** A node with one table made from a URI, for the commands that need no server. */

import { createNode, type NodeOptions, type PointlakeNode } from '../main.ts';
import { parseSourceUri, tableNameOf } from '../storage/index.ts';
import { type Snapshot, type Table, tableDefinition } from '../table/index.ts';
import { defaultConfig } from './config.ts';
import { asUsage } from './usage.ts';

export interface OneTable {
  readonly node: PointlakeNode;
  readonly table: Table;
  readonly snapshot: Snapshot;
}

/** Opens the source, hands it to `use`, and closes everything whatever happens. */
export async function withOneTable(
  uri: string,
  key: readonly string[],
  use: (opened: OneTable) => Promise<void>,
  options: Pick<NodeOptions, 'wrapStores'> = {},
): Promise<void> {
  const definition = asUsage(() => tableDefinition(tableNameOf(parseSourceUri(uri)), uri, key));
  const { s3, cacheMemoryBytes } = defaultConfig();
  const node = createNode({ ...options, s3, cacheMemoryBytes, tables: [definition] });
  try {
    const table = node.catalog.get(definition.name);
    await use({ node, table, snapshot: await table.refresh() });
  } finally {
    await node.close();
  }
}

/** Waits where the reader of stdout is slower than we are. */
export async function writeOut(text: string): Promise<void> {
  if (!process.stdout.write(text)) await new Promise<void>((resolve) => process.stdout.once('drain', resolve));
}
