/** A real server on a free port in front of a node; whoever starts it closes it. */

import { type Clock, systemClock } from '../../src/core/index.ts';
import type { PointlakeNode } from '../../src/main.ts';
import { type PointlakeServer, type ServerOptions, startServer } from '../../src/server/index.ts';

export function serve(
  node: PointlakeNode,
  options: Partial<ServerOptions> = {},
  clock: Clock = systemClock,
): Promise<PointlakeServer> {
  const { others } = node;
  return startServer(
    {
      catalog: node.catalog,
      engine: node.engine,
      loader: node.loader,
      tier: node.tier,
      rows: node.rows,
      preloader: node.preloader,
      indexings: node.indexings,
      disk: node.disk?.blocks,
      pool: node.pool,
      stores: node.stores,
      version: 'test',
      otherLoops: others && (() => others.publisher.takeReports()),
      clock,
    },
    { host: '127.0.0.1', port: 0, ...options },
  );
}
