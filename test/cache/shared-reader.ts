/** A thread that reads blocks of another one's memory tier as fast as it can, and counts those that are not what they should be. */

import { parentPort, workerData } from 'node:worker_threads';
import { EpochReader } from '../../src/cache/reader-epochs.ts';
import { SharedBlocks } from '../../src/cache/shared-blocks.ts';

export interface SharedReaderData {
  readonly reader: number;
  readonly epochs: Int32Array;
  readonly places: Int32Array;
  readonly slabBytes: number;
  /** False: the weak point that epochs guard is left open. */
  readonly isGuarded: boolean;
}

const READS_A_TURN = 200;
/** Rounds between finding a block and reading it, in which the writer may come by. */
const DELAY_ROUNDS = 3000;

const { reader, epochs, places, slabBytes, isGuarded } = workerData as SharedReaderData;
const blocks = new SharedBlocks(slabBytes);
const epoch = new EpochReader(epochs, reader);
let random = reader + 1;
let read = 0;
let torn = 0;
let isOver = false;

parentPort?.on('message', (told) => {
  if (told.kind === 'slab') blocks.addSlab(told.slab, told.buffer);
  else if (told.kind === 'noSlab') {
    blocks.dropSlab(told.slab);
    parentPort?.postMessage({ ticket: told.ticket });
  } else isOver = true;
});

function readOne(): void {
  random = (Math.imul(random, 1664525) + 1013904223) >>> 0;
  const slot = 1 + (random % (places.length - 1));
  if (isGuarded) epoch.enter();
  const location = places[slot] as number;
  if (location !== 0) {
    let waited = 0;
    for (let i = 0; i < DELAY_ROUNDS; i++) waited += i ^ random;
    const views = blocks.read(location);
    if (views !== undefined && waited !== -1) {
      const at = blocks.blockAt(location) >>> 2;
      const words = views.int32s;
      const length = words[at + 1] as number;
      let isWhole = words[at] === slot && length > 8 && length < 4096;
      for (let i = 2; isWhole && i < length; i++) isWhole = words[at + i] === slot;
      if (!isWhole) torn += 1;
      read += 1;
    }
  }
  if (isGuarded) epoch.leave();
}

function turn(): void {
  for (let i = 0; i < READS_A_TURN; i++) readOne();
  if (!isOver) setImmediate(turn);
  else {
    parentPort?.postMessage({ read, torn });
    parentPort?.close();
  }
}

turn();
