/**
 * Serving threads on a port of their own, in front of a node that serves on another one: so that a test knows which loop it asks.
 */

import type { TestContext } from 'node:test';
import { freePort } from '../../bench/harness/servers.ts';
import { startServingLoops } from '../../src/cli/serving-loops.ts';
import type { PointlakeNode } from '../../src/main.ts';
import type { PointlakeServer } from '../../src/server/index.ts';
import type { ServingThreads } from '../../src/workers/index.ts';

export interface ServedByThreads {
  readonly url: string;
  readonly threads: ServingThreads;
  readonly lines: readonly string[];
}

/** The node was made for so many loops and one more. Closed before the server is. */
export async function serveByThreads(
  context: Pick<TestContext, 'after'>,
  node: PointlakeNode,
  server: PointlakeServer,
  count: number,
  host = '127.0.0.1',
): Promise<ServedByThreads> {
  const lines: string[] = [];
  const port = await freePort();
  const place = { host, workers: count + 1, port };
  const threads = await startServingLoops(node, server, place, { graceMs: 2_000 }, (line) => lines.push(line));
  if (threads === undefined) throw new Error('the node is made for one loop only');
  context.after(() => threads.close());
  return { url: `http://127.0.0.1:${port}`, threads, lines };
}

/** How many requests the threads answered by themselves since this was last asked. */
export async function answeredByThreads(node: PointlakeNode): Promise<number> {
  const reports = (await node.others?.publisher.takeReports()) ?? [];
  const statuses = reports.flatMap(({ counts }) => counts.routes.flatMap(({ tables }) => tables.map(([, of]) => of)));
  return statuses.reduce((sum, of) => sum + of.reduce((all, one) => all + one, 0), 0);
}
