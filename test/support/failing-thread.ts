/**
 * Loaded into a server beside its program (`NODE_OPTIONS=--import`): at SIGUSR2 its first serving thread ends, or with
 * `FAILING_THREAD=hang` its loop stands still.
 */

import { isMainThread, threadName } from 'node:worker_threads';

const FIRST = 'serving 1';
const channel = new BroadcastChannel('pointlake-failing-thread');

if (isMainThread) process.on('SIGUSR2', () => channel.postMessage(FIRST));
else if (threadName === FIRST) {
  channel.onmessage = () => {
    if (process.env.FAILING_THREAD !== 'hang') process.exit(1);
    for (;;);
  };
}
// It keeps nothing alive.
(channel as unknown as { unref(): void }).unref();
