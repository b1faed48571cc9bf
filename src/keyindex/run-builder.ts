/**
 * The rows of some files in, a run out.
 *
 * Entries are gathered unsorted in memory that is bounded beforehand, then sorted by a radix sort: one pass over the
 * lower 8 bits and three over the upper 32, each stable, so that equal fingerprints keep the order of their rows.
 */

import { assert } from '../core/index.ts';
import type { RunFile } from './run-layout.ts';
import { type RunSink, RunWriter } from './run-writer.ts';

interface Entries {
  readonly high: Uint32Array;
  readonly low: Uint8Array;
  readonly position: Uint32Array;
}

const RADIX = 2048;

export class RunBuilder {
  readonly #entriesMax: number;
  #entries: Entries;
  #count = 0;

  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax;
    this.#entries = newEntries(entriesMax);
  }

  get count(): number {
    return this.#count;
  }

  add(high: number, low: number, position: number): void {
    assert(this.#count < this.#entriesMax, 'a run is built of no more entries than were announced');
    const at = this.#count;
    this.#entries.high[at] = high;
    this.#entries.low[at] = low;
    this.#entries.position[at] = position;
    this.#count = at + 1;
  }

  /** Writes the run of all entries; `files` are those that positions are counted through. Ends the builder. */
  finish(files: readonly RunFile[], sink: RunSink): void {
    const { high, low, position } = this.#sorted();
    const writer = new RunWriter(this.#count, sink);
    for (let at = 0; at < this.#count; at += 1) writer.add(high[at]!, low[at]!, position[at]!);
    writer.finish(files);
  }

  #sorted(): Entries {
    let from = this.#entries;
    let to = newEntries(this.#count);
    for (const pass of PASSES) {
      pass(from, to, this.#count);
      [from, to] = [to, from];
    }
    this.#entries = newEntries(0);
    return from;
  }
}

function newEntries(count: number): Entries {
  return { high: new Uint32Array(count), low: new Uint8Array(count), position: new Uint32Array(count) };
}

const PASSES = [
  (from: Entries, to: Entries, count: number) => scatter(from, to, count, from.low, 0, 0xff),
  (from: Entries, to: Entries, count: number) => scatter(from, to, count, from.high, 0, 0x7ff),
  (from: Entries, to: Entries, count: number) => scatter(from, to, count, from.high, 11, 0x7ff),
  (from: Entries, to: Entries, count: number) => scatter(from, to, count, from.high, 22, 0x3ff),
];

/** One stable pass of a radix sort, by the digit `(keys >>> shift) & mask`. */
function scatter(
  from: Entries,
  to: Entries,
  count: number,
  keys: Uint32Array | Uint8Array,
  shift: number,
  mask: number,
): void {
  const next = new Uint32Array(RADIX);
  for (let at = 0; at < count; at += 1) next[(keys[at]! >>> shift) & mask]! += 1;
  let start = 0;
  for (let digit = 0; digit <= mask; digit += 1) {
    const size = next[digit]!;
    next[digit] = start;
    start += size;
  }
  const { high, low, position } = from;
  for (let at = 0; at < count; at += 1) {
    const digit = (keys[at]! >>> shift) & mask;
    const place = next[digit]!;
    next[digit] = place + 1;
    to.high[place] = high[at]!;
    to.low[place] = low[at]!;
    to.position[place] = position[at]!;
  }
}
