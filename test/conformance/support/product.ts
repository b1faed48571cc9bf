/** Rows as the product gives them: one node, one table, the JSON text of each value, by a scan or by lookups. */

import { createNode, type NodeOptions, type PointlakeNode } from '../../../src/main.ts';
import { type Stretch, scan } from '../../../src/shard/index.ts';
import {
  castFaultIn,
  type IndexMode,
  type JsonOptions,
  type Projection,
  type Snapshot,
  tableDefinition,
} from '../../../src/table/index.ts';
import { noDeadline } from '../../support/one-node.ts';

/** NaN and infinities as strings, so that none of them passes for a null. */
export const JSON_FORM: JsonOptions = { int64: 'number', nonfinite: 'string' };

export interface OpenedTable {
  readonly node: PointlakeNode;
  readonly snapshot: Snapshot;
}

/** Opens one file as a table, hands it to `use` and closes the node whatever happens. */
export async function withTable<T>(
  path: string,
  key: readonly string[],
  use: (opened: OpenedTable) => Promise<T>,
  { index = 'none', ...options }: Partial<NodeOptions> & { readonly index?: IndexMode } = {},
): Promise<T> {
  const definition = { ...tableDefinition('t', path, key), index };
  const node = createNode({ s3: {}, cacheMemoryBytes: 256 * 2 ** 20, ...options, tables: [definition] });
  try {
    const table = node.catalog.get('t');
    const snapshot = await table.refresh();
    await node.indexings(table)[0]?.idle();
    return await use({ node, snapshot });
  } finally {
    await node.close();
  }
}

/** Every row as a scan reads it: for each column of the projection the JSON text of the value. */
export async function* scannedRows(
  { node, snapshot }: OpenedTable,
  projection: Projection,
  signal = noDeadline,
): AsyncGenerator<readonly string[], void> {
  for await (const stretch of scan(node.loader, snapshot, projection.columns, signal)) {
    for (let row = stretch.start; row < stretch.end; row += 1) yield valuesOf(stretch, projection, row);
  }
}

function valuesOf(stretch: Stretch, projection: Projection, row: number): readonly string[] {
  const { mapping } = stretch.file;
  try {
    return projection.writersFor(mapping).map((writer, i) => {
      const leaves = stretch.nested[i];
      if (leaves !== undefined) return projection.nested[i]?.assemblyFor(mapping)?.json(leaves, row) ?? 'null';
      const at = stretch.blocks[i];
      return at === undefined ? 'null' : writer(at.block, row - at.firstRow);
    });
  } catch (thrown) {
    throw castFaultIn(thrown, stretch.file.file.object.key, stretch.rowGroup);
  }
}

/** The row's text as a lookup answers it. */
export function rowText(projection: Projection, values: readonly string[]): string {
  return values.map((value, i) => projection.fragments[i] + value).join('') + projection.closing;
}
