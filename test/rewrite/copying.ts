/** A source that is copied in a test, and both as scans read them. */

import { dirname } from 'node:path';
import type { TestContext } from 'node:test';
import { openTarget, type RewriteSummary, rewrite } from '../../src/rewrite/index.ts';
import type { PageLoader } from '../../src/shard/index.ts';
import type { Snapshot } from '../../src/table/index.ts';
import { type Row, scannedRows } from '../support/nested-oracles.ts';
import { noDeadline, nodeOf } from '../support/one-node.ts';

type Options = Parameters<typeof rewrite>[3];
type RewriteMore = Partial<Options> & { readonly force?: boolean };

/** Of a copy of many runs, files, row groups and pages. */
export const SMALL = {
  memoryBytes: 64 * 1024,
  fileBytes: 20_000,
  codec: 'zstd',
  encoding: 'smallest',
  rowsPerPage: 20,
  rowsPerGroup: 500,
  dictionaries: [],
  bloomFilters: [],
  bloomFpp: 0.01,
  createdBy: 'a test',
  signal: noDeadline,
} as const satisfies Partial<Options>;

export interface Rewritten {
  readonly summary: RewriteSummary;
  readonly before: readonly Row[];
  readonly after: readonly Row[];
  readonly snapshot: Snapshot;
  /** Of the copy. */
  readonly loader: PageLoader;
}

/** With memory far below the data unless more is said. */
export async function rewritten(
  context: TestContext,
  source: string,
  key: readonly string[],
  target: string,
  { force = false, ...more }: RewriteMore = {},
): Promise<Rewritten> {
  const node = nodeOf(context, [{ name: 'source', source, key }]);
  const snapshot = await node.catalog.get('source').refresh();
  const to = await openTarget(target, source, force);
  const summary = await rewrite(node.loader, snapshot, to, {
    ...SMALL,
    uri: source,
    temporaryFolder: dirname(target),
    ...more,
  });
  const copy = nodeOf(context, [{ name: 'copy', source: to.isOneFile ? target : `${target}/`, key }]);
  const copied = await copy.catalog.get('copy').refresh();
  const before = await scannedRows(node, snapshot);
  return { summary, before, after: await scannedRows(copy, copied), snapshot: copied, loader: copy.loader };
}
