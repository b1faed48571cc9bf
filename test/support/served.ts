/** A real server on a free port in front of a node; whoever starts it closes it. */

import { systemClock } from '../../src/core/index.ts';
import type { PointlakeNode } from '../../src/main.ts';
import { type PointlakeServer, type ServerOptions, startServer } from '../../src/server/index.ts';

export function serve(node: PointlakeNode, options: Partial<ServerOptions> = {}): Promise<PointlakeServer> {
  return startServer(
    {
      catalog: node.catalog,
      engine: node.engine,
      loader: node.loader,
      tier: node.tier,
      rows: node.rows,
      preloader: node.preloader,
      disk: node.disk?.blocks,
      pool: node.pool,
      stores: node.stores,
      version: 'test',
      clock: systemClock,
    },
    { host: '127.0.0.1', port: 0, ...options },
  );
}
