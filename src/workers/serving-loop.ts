/** What a serving thread is: a server on the node's port, over the memory of the main loop. */

import { flushCompileCache } from 'node:module';
import { parentPort, threadId, workerData } from 'node:worker_threads';
import { EpochReader, RowCache } from '../cache/index.ts';
import { asServiceError, assert, systemClock } from '../core/index.ts';
import { type HotServer, startHotServer } from '../server/index.ts';
import { DecodePool, LookupEngine, PageLoader } from '../shard/index.ts';
import type { Answered, ServingData, Told } from './messages.ts';
import { Mirror } from './mirror.ts';

const port = parentPort;
assert(port !== null, 'a serving thread is started as a thread');
const { reader, epochs, version, slabBytes, rowsBytes, socketPath, listen, options } = workerData as ServingData;
const mirror = new Mirror(slabBytes);
// Nothing is loaded here, so that no thread of this pool is ever started.
const loader = new PageLoader(new DecodePool(), { inFlightBytesMax: 0, verifyCrc: true });
const rows = new RowCache(rowsBytes);
const engine = new LookupEngine(loader, rows);
const answer = (message: Answered) => port.postMessage(message);
let server: HotServer | undefined;

port.on('message', (told: Told) => {
  switch (told.kind) {
    case 'report':
      return void report(told.ticket);
    case 'ping':
      return answer({ kind: 'turned' });
    case 'letGo':
      return server?.letGo();
    case 'close':
      return void close();
    default:
      mirror.take(told);
      if (told.kind === 'noSlab') answer({ kind: 'done', ticket: told.ticket });
  }
});

async function report(ticket: number): Promise<void> {
  if (server === undefined) answer({ kind: 'done', ticket });
  else {
    const report = { ...(await server.report()), loop: reader + 1, thread: threadId, rows: rows.stats };
    answer({ kind: 'reported', ticket, report });
  }
}

async function close(): Promise<void> {
  await server?.close();
  process.exit(0);
}

try {
  server = await startHotServer(
    {
      catalog: mirror,
      engine,
      clock: systemClock,
      reader: new EpochReader(epochs, reader),
      isCurrent: () => Atomics.load(version, 0) === mirror.version,
      socketPath,
    },
    { ...listen, ...options },
  );
  // Before anybody waits for it: writing takes a while.
  flushCompileCache();
  answer({ kind: 'ready' });
} catch (thrown) {
  answer({ kind: 'refused', error: asServiceError(thrown).toPlain() });
}
