/** Starts the further event loops of a node that serves. */

import { systemClock } from '../core/index.ts';
import type { PointlakeNode } from '../main.ts';
import { HEADER_BYTES_MAX, type PointlakeServer, type ServerOptions } from '../server/index.ts';
import { ServingThreads } from '../workers/index.ts';

/** Undefined where the main loop is the only one. */
export async function startServingLoops(
  node: PointlakeNode,
  server: PointlakeServer,
  { host, workers, port }: { readonly host: string; readonly workers: number; readonly port: number },
  options: Partial<ServerOptions>,
  log: (line: string) => void,
): Promise<ServingThreads | undefined> {
  const { others } = node;
  if (others === undefined) return undefined;
  return ServingThreads.start({
    ...others,
    threads: workers - 1,
    listen: { host, port },
    options,
    handler: server.answerPassedOn,
    headerBytesMax: HEADER_BYTES_MAX,
    letGo: () => server.letGo(),
    clock: systemClock,
    log,
  });
}
