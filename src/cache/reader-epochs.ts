/**
 * When memory that other threads read may be written again.
 *
 * One thread writes, others read in stretches without a wait. Each reader has a word of its own in shared memory, in which
 * it announces the epoch that its stretch began in. What the writer puts out of sight begins a new epoch: from then on
 * nobody can find it, and it may be overwritten as soon as every reader is idle or began since.
 *
 *     writer   puts it out of sight · epoch + 1 · looks at the announcements -> all idle or later -> writes
 *     reader   announces the epoch · looks for it
 *
 * Announcements and epochs are atomic and so have one order for all threads: a reader whose announcement the writer did not
 * see, looks after it was put out of sight. That is epoch-based reclamation (Fraser, "Practical lock-freedom", 2004), without
 * its waits: who may not write yet takes other memory.
 */

const IDLE = 0;
/** A cache line each, so that readers do not take it from each other. */
const WORDS_A_READER = 16;
/** Epochs are odd, so that none is `IDLE`, however often they went round. */
const EPOCH_STEP = 2;
export const READERS_MAX = 64;

export class ReaderEpochs {
  /** The epoch, then the readers' words; in shared memory. */
  readonly words: Int32Array<SharedArrayBuffer> = new Int32Array(
    new SharedArrayBuffer(4 * WORDS_A_READER * (READERS_MAX + 1)),
  );

  constructor() {
    this.words[0] = 1;
  }

  /** Something was put out of sight just before; its memory may be written once the epoch `isPassed`. */
  retire(): number {
    return (Atomics.add(this.words, 0, EPOCH_STEP) + EPOCH_STEP) | 0;
  }

  /** Whether no reader is left that may have found what was out of sight in that epoch. */
  isPassed(epoch: number): boolean {
    for (let reader = 0; reader < READERS_MAX; reader++) {
      const began = Atomics.load(this.words, wordOf(reader));
      if (began !== IDLE && ((began - epoch) | 0) < 0) return false;
    }
    return true;
  }

  /** The reader's thread has ended, wherever it was. */
  end(reader: number): void {
    Atomics.store(this.words, wordOf(reader), IDLE);
  }
}

/** One reader, in its thread. */
export class EpochReader {
  readonly #words: Int32Array;
  readonly #at: number;

  constructor(words: Int32Array, reader: number) {
    this.#words = words;
    this.#at = wordOf(reader);
  }

  /**
   * Begins a stretch, in which nothing is waited for: what is found in it stays as it is until `leave`. That the announcement is
   * read again, atomically, keeps processors that order memory weakly from looking for anything before it is made.
   */
  enter(): void {
    let epoch: number;
    do {
      epoch = Atomics.load(this.#words, 0);
      Atomics.store(this.#words, this.#at, epoch);
    } while (Atomics.load(this.#words, this.#at) !== epoch);
  }

  leave(): void {
    Atomics.store(this.#words, this.#at, IDLE);
  }
}

function wordOf(reader: number): number {
  return WORDS_A_READER * (reader + 1);
}
