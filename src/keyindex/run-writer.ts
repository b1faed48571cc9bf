/** Sorted entries in, pages out: the one way in which runs come to be, whether from rows or from other runs. */

import { assert } from '../core/index.ts';
import {
  encodeTail,
  HIGH_WORD,
  LOW_BYTE,
  PAGE_BYTES,
  PAGE_ENTRIES,
  PAGE_WORDS,
  POSITION_WORD,
  type RunFile,
  sealPage,
} from './run-layout.ts';

/** Takes the bytes of a run in their order. They are the sink's to keep. */
export type RunSink = (bytes: Uint8Array) => void;

export class RunWriter {
  readonly #sink: RunSink;
  readonly #firsts: Uint32Array;
  #page = new Uint8Array(PAGE_BYTES);
  #words = new Uint32Array(this.#page.buffer, 0, PAGE_WORDS);
  #inPage = 0;
  #pages = 0;
  #entries = 0;

  /** `entriesMax`: no more will come. */
  constructor(entriesMax: number, sink: RunSink) {
    this.#sink = sink;
    this.#firsts = new Uint32Array(Math.ceil(entriesMax / PAGE_ENTRIES));
  }

  /** Entries come sorted by high, low, position. */
  add(high: number, low: number, position: number): void {
    if (this.#inPage === 0) this.#firsts[this.#pages] = high;
    this.#words[HIGH_WORD + this.#inPage] = high;
    this.#words[POSITION_WORD + this.#inPage] = position;
    this.#page[LOW_BYTE + this.#inPage] = low;
    this.#inPage += 1;
    if (this.#inPage === PAGE_ENTRIES) this.#endPage();
  }

  finish(files: readonly RunFile[]): void {
    if (this.#inPage > 0) this.#endPage();
    const firsts = this.#firsts.slice(0, this.#pages);
    this.#sink(encodeTail({ entries: this.#entries, pages: this.#pages, files, firsts }));
  }

  #endPage(): void {
    assert(this.#pages < this.#firsts.length, 'a run gets no more entries than were announced');
    sealPage(this.#page, this.#pages);
    this.#sink(this.#page);
    this.#entries += this.#inPage;
    this.#pages += 1;
    this.#inPage = 0;
    this.#page = new Uint8Array(PAGE_BYTES);
    this.#words = new Uint32Array(this.#page.buffer, 0, PAGE_WORDS);
  }
}
