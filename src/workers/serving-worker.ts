/**
 * The entry of a serving thread.
 *
 * Half of what a thread takes to start is compiling some hundred modules, which one that takes another's place would do
 * again while those that are left take all cores. So the first ones leave what they compiled in a folder of the process.
 */

import { enableCompileCache } from 'node:module';
import { workerData } from 'node:worker_threads';
import type { ServingData } from './messages.ts';

const { codeFolder } = workerData as ServingData;
enableCompileCache(codeFolder);
await import('./serving-loop.ts');
