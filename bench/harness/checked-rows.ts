/**
 * A client that holds every answer to the text that it should be, goes on where a connection breaks, and tells when which
 * answers came: for servers of which a part dies.
 */

import { connect, type Socket } from 'node:net';

export interface CheckedCounts {
  readonly right: number;
  readonly wrong: number;
  /** Connections that broke, or could not be made, while something was asked. */
  readonly failed: number;
}

export class CheckedRows {
  readonly #origin: URL;
  readonly #pathOf: (key: number) => string;
  /** Bodies by key. */
  readonly #texts: readonly string[];
  readonly #startedMs = performance.now();
  #right = 0;
  #wrong = 0;
  #failed = 0;
  #isOver = false;
  /** Right answers by tenth of a second. */
  readonly #rates: number[] = [];
  readonly #lanes: readonly Promise<void>[];

  constructor(origin: string, pathOf: (key: number) => string, texts: readonly string[], connections: number) {
    this.#origin = new URL(origin);
    this.#pathOf = pathOf;
    this.#texts = texts;
    this.#lanes = Array.from({ length: connections }, (_, lane) => this.#lane(lane + 1));
  }

  get counts(): CheckedCounts {
    return { right: this.#right, wrong: this.#wrong, failed: this.#failed };
  }

  /** Right answers a second, a number for each tenth of a second that is over. */
  rates(): readonly number[] {
    const tenths = Math.floor((performance.now() - this.#startedMs) / 100);
    return Array.from({ length: tenths }, (_, i) => 10 * (this.#rates[i] ?? 0));
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#lanes);
  }

  async #lane(seed: number): Promise<void> {
    let state = (seed * 2_654_435_761) % 2 ** 31;
    while (!this.#isOver) {
      const socket = connect(Number(this.#origin.port), this.#origin.hostname);
      socket.setNoDelay(true);
      try {
        for (let isOpen = true; isOpen && !this.#isOver; ) {
          state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
          const key = (state >>> 8) % this.#texts.length;
          isOpen = await this.#ask(socket, key);
        }
      } catch {
        this.#failed += 1;
        // A port on which nothing listens for a moment is not asked a million times.
        await new Promise((resolve) => setTimeout(resolve, 5));
      } finally {
        socket.destroy();
      }
    }
  }

  /** Whether the connection goes on. */
  async #ask(socket: Socket, key: number): Promise<boolean> {
    socket.write(`GET ${this.#pathOf(key)} HTTP/1.1\r\nHost: ${this.#origin.host}\r\n\r\n`);
    const { head, body } = await answerOn(socket);
    if (head.startsWith('HTTP/1.1 200') && body === this.#texts[key]) {
      this.#right += 1;
      const tenth = Math.floor((performance.now() - this.#startedMs) / 100);
      this.#rates[tenth] = (this.#rates[tenth] ?? 0) + 1;
    } else this.#wrong += 1;
    return !/\r\nconnection: close/i.test(head);
  }
}

function answerOn(socket: Socket): Promise<{ readonly head: string; readonly body: string }> {
  return new Promise((resolve, reject) => {
    let text = '';
    const settle = () => {
      socket.off('data', onData).off('error', onEnd).off('close', onEnd);
    };
    const onEnd = () => {
      settle();
      reject(new Error('the connection broke'));
    };
    const onData = (bytes: Buffer) => {
      text += bytes.toString('latin1');
      const end = text.indexOf('\r\n\r\n');
      if (end < 0) return;
      const head = text.slice(0, end);
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1]);
      if (text.length < end + 4 + length) return;
      settle();
      resolve({ head, body: text.slice(end + 4) });
    };
    socket.on('data', onData).on('error', onEnd).on('close', onEnd);
  });
}
