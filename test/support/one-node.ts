/** A node with tables made from paths, closed when the test is over. */

import type { TestContext } from 'node:test';
import { createNode, type NodeOptions, type PointlakeNode } from '../../src/main.ts';
import { type Key, parseKeyText, type Snapshot, type TableDefinition, tableDefinition } from '../../src/table/index.ts';

export interface TableOfTest {
  readonly name: string;
  readonly source: string;
  readonly key: readonly string[];
  readonly options?: Partial<TableDefinition>;
}

export function nodeOf(
  context: TestContext,
  tables: readonly TableOfTest[],
  options: Partial<NodeOptions> = {},
): PointlakeNode {
  const node = createNode({
    s3: {},
    cacheMemoryBytes: 256 * 2 ** 20,
    ...options,
    tables: tables.map(({ name, source, key, options: more }) => ({ ...tableDefinition(name, source, key), ...more })),
  });
  context.after(() => node.close());
  return node;
}

export function keyOf(snapshot: Snapshot, ...parts: readonly string[]): Key {
  return snapshot.keyLeaves.map((leaf, i) => parseKeyText(leaf, parts[i] ?? ''));
}

export const noDeadline = new AbortController().signal;
