/** The workers room: further event loops of a node, over the memory of its main loop. */

export { Publisher } from './publisher.ts';
export { ServingThreads } from './serving-threads.ts';
