/**
 * The further event loops of a node: threads that answer on its port what is in memory, and pass on the rest.
 *
 * One that dies takes the requests with it that were in flight on it; another takes its place. What it was reading may be
 * overwritten from then on.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { READERS_MAX } from '../cache/index.ts';
import { assert, type Clock, fromPlainError, type ServiceError } from '../core/index.ts';
import type { Answered, ServingData, Told } from './messages.ts';
import type { Publisher } from './publisher.ts';

export interface ServingThreadsOptions {
  /** How many. */
  readonly threads: number;
  readonly publisher: Publisher;
  readonly slabBytes: number;
  /** What the encoded rows of one thread may take. */
  readonly rowsBytes: number;
  /** Where the main loop listens already, with a port that may be shared. */
  readonly listen: { readonly host: string; readonly port: number };
  /** Of the server, the limits and times. */
  readonly options: Readonly<Record<string, number>>;
  /** Answers what threads pass on. */
  readonly handler: (request: IncomingMessage, response: ServerResponse) => void;
  readonly headerBytesMax: number;
  /** Has the main loop end its connections, each with its next answer. */
  readonly letGo: () => void;
  readonly clock: Clock;
  readonly log: (line: string) => void;
}

/** One that dies sooner than this after its start is replaced after as long. */
const SHORT_LIFE_MS = 1_000;
const WATCH_MS = 1_000;
/** The longest stretch of a thread is a batch from memory, milliseconds. */
const UNHEARD_MAX = 5;

interface Thread {
  readonly worker: Worker;
  isListening: boolean;
  /** How often it was asked whether it turns since it last said so. */
  unheard: number;
  readonly exited: Promise<void>;
}

export class ServingThreads {
  readonly #options: ServingThreadsOptions;
  readonly #folder = mkdtempSync(join(tmpdir(), 'pointlake-'));
  readonly #socket: Server;
  readonly #threads = new Map<number, Thread>();
  readonly #closing = new AbortController();

  private constructor(options: ServingThreadsOptions) {
    assert(options.threads <= READERS_MAX, `there are at most ${READERS_MAX} serving threads`);
    this.#options = options;
    // Requests have their times where they arrive first.
    const endless = { requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 0 };
    this.#socket = createServer({ maxHeaderSize: options.headerBytesMax, ...endless }, options.handler);
  }

  /** Resolves when all of them listen. Throws what kept one from it. */
  static async start(options: ServingThreadsOptions): Promise<ServingThreads> {
    const threads = new ServingThreads(options);
    try {
      await threads.#listen();
      await Promise.all(Array.from({ length: options.threads }, (_, reader) => threads.#start(reader)));
      void threads.#watch();
    } catch (thrown) {
      await threads.close();
      throw thrown;
    }
    return threads;
  }

  /** Those that listen; for tests of threads that die. */
  get workers(): readonly Worker[] {
    return [...this.#threads.values()].flatMap(({ worker, isListening }) => (isListening ? [worker] : []));
  }

  /** Lets requests under way finish; only then may the main loop end. */
  async close(): Promise<void> {
    this.#closing.abort();
    const close: Told = { kind: 'close' };
    for (const { worker } of this.#threads.values()) worker.postMessage(close);
    await Promise.all([...this.#threads.values()].map(({ exited }) => exited));
    this.#socket.closeAllConnections();
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get #socketPath(): string {
    return join(this.#folder, 'loop.sock');
  }

  #listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.once('error', reject);
      this.#socket.listen(this.#socketPath, resolve);
    });
  }

  /** Resolves when it listens. */
  async #start(reader: number): Promise<void> {
    const { publisher, slabBytes, rowsBytes, listen, options, clock, log } = this.#options;
    const { epochs, version } = publisher;
    const data: ServingData = {
      reader,
      epochs: epochs.words,
      version,
      slabBytes,
      rowsBytes,
      socketPath: this.#socketPath,
      codeFolder: join(this.#folder, 'code'),
      listen,
      options,
    };
    const startedMs = clock.nowMs();
    const worker = new Worker(threadModule(), { workerData: data, name: `serving ${reader + 1}` });
    const ready = Promise.withResolvers<void>();
    const exited = Promise.withResolvers<void>();
    const thread: Thread = { worker, isListening: false, unheard: 0, exited: exited.promise };
    this.#threads.set(reader, thread);
    publisher.join(worker);
    worker.on('message', (answer: Answered) => {
      if (answer.kind === 'ready') {
        this.#makeRoom();
        thread.isListening = true;
        ready.resolve();
      } else if (answer.kind === 'refused') {
        ready.reject(fromPlainError(answer.error));
        void worker.terminate();
      } else if (answer.kind === 'turned') thread.unheard = 0;
      else publisher.answered(worker, answer);
    });
    worker.on('error', (error) =>
      log(`a serving thread died: ${error instanceof Error ? error.stack : String(error)}`),
    );
    worker.once('exit', () => {
      epochs.end(reader);
      publisher.leave(worker);
      this.#threads.delete(reader);
      exited.resolve();
      ready.reject(new Error('a serving thread ended before it listened'));
      void this.#replace(reader, clock.nowMs() - startedMs);
    });
    await ready.promise;
  }

  /** Ends a thread whose loop stands still, so that another takes its place: it answers nobody, and may hold up the reuse of slabs. */
  async #watch(): Promise<void> {
    const { clock, log } = this.#options;
    const ping: Told = { kind: 'ping' };
    for (;;) {
      // Answers are read between two questions, so that a stall of this loop is not taken for one of theirs.
      const isOver = await clock.sleep(WATCH_MS, this.#closing.signal).then(
        () => false,
        () => true,
      );
      if (isOver) return;
      for (const thread of this.#threads.values()) {
        if (!thread.isListening) continue;
        if (thread.unheard === UNHEARD_MAX) {
          log(`a serving thread has stood still for ${(UNHEARD_MAX * WATCH_MS) / 1000} seconds and is ended`);
          void thread.worker.terminate();
        }
        thread.unheard += 1;
        thread.worker.postMessage(ping);
      }
    }
  }

  /** For a loop that listens from now on: of open connections it gets none by itself. */
  #makeRoom(): void {
    this.#options.letGo();
    const letGo: Told = { kind: 'letGo' };
    for (const { worker, isListening } of this.#threads.values()) if (isListening) worker.postMessage(letGo);
  }

  async #replace(reader: number, livedMs: number): Promise<void> {
    const { clock, log } = this.#options;
    const { signal } = this.#closing;
    try {
      if (livedMs < SHORT_LIFE_MS) await clock.sleep(SHORT_LIFE_MS, signal);
      if (signal.aborted) return;
      log('another serving thread takes its place');
      await this.#start(reader);
    } catch (thrown) {
      if (!signal.aborted) log(`a serving thread could not be replaced: ${(thrown as ServiceError).message}`);
    }
  }
}

/** Beside this file, in the form that this file has itself. */
function threadModule(): URL {
  const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
  return new URL(`./serving-worker${extension}`, import.meta.url);
}
