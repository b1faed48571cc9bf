/**
 * Sorts records by their keys within a bound of memory: what fits is sorted there and written to a file, a run, and the
 * runs are merged. Records of equal keys keep their order. A record is
 *
 *     u32 length of the key, u32 length of the body, key, body
 *
 * Files are read and written synchronously: whoever sorts has nothing else to do meanwhile.
 */

import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { ServiceError } from '../core/index.ts';
import { diskFault } from './disk-fault.ts';

const HEADER_BYTES = 8;
/** What a record costs beside its bytes: where it lies, and its place while it is sorted. */
const SLOT_BYTES = 32;
/** Runs that are merged at a time: each has a descriptor and a buffer. */
const RUNS_MERGED_MAX = 64;
const READ_BYTES_MIN = 64 * 1024;
const WRITE_BYTES = 1 << 20;
/** More would not be addressed by 31 bits. */
const ARENA_BYTES_MAX = 2 ** 30;

/** A place in `bytes`, valid until the next record is asked for. */
export interface SortedRecord {
  readonly bytes: Buffer;
  readonly bodyStart: number;
  readonly bodyEnd: number;
}

export class ExternalSort {
  readonly #memoryBytes: number;
  readonly #parent: string;
  readonly #folder: string;
  /** The system gives its pages when they are first written to. Runs are merged through it too. */
  #arena: Buffer;
  #used = 0;
  #offsets: number[] = [];
  #runs: string[] = [];
  #runsMade = 0;

  /** `parent` is where its folder of runs is made. */
  constructor(memoryBytes: number, parent: string) {
    this.#memoryBytes = Math.min(memoryBytes, ARENA_BYTES_MAX);
    this.#parent = parent;
    this.#folder = folderIn(parent);
    this.#arena = Buffer.allocUnsafeSlow(this.#memoryBytes);
  }

  get runs(): number {
    return this.#runsMade;
  }

  add(key: Buffer, body: Buffer): void {
    const length = HEADER_BYTES + key.length + body.length;
    if (this.#used + length + (this.#offsets.length + 1) * SLOT_BYTES > this.#memoryBytes) this.#spill();
    // A record that is larger than all of it.
    if (this.#used + length > this.#arena.length) this.#arena = Buffer.allocUnsafeSlow(this.#used + length);
    const at = this.#used;
    this.#arena.writeUInt32LE(key.length, at);
    this.#arena.writeUInt32LE(body.length, at + 4);
    key.copy(this.#arena, at + HEADER_BYTES);
    body.copy(this.#arena, at + HEADER_BYTES + key.length);
    this.#offsets.push(at);
    this.#used = at + length;
  }

  /** Every record, in order; after the last one others can be added, for a sort of their own. */
  *sorted(): Generator<SortedRecord, void> {
    if (this.#runs.length === 0) {
      for (const at of this.#inOrder()) yield placeOf(this.#arena, at);
    } else {
      this.#spill();
      this.#mergeToFew();
      yield* this.#merge(this.#runs);
      for (const path of this.#runs) rmSync(path);
      this.#runs = [];
    }
    this.#offsets = [];
    this.#used = 0;
  }

  /** Removes the runs. */
  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #inOrder(): readonly number[] {
    const arena = this.#arena;
    return this.#offsets.sort((a, b) => compareRecords(arena, a, arena, b) || a - b);
  }

  #spill(): void {
    if (this.#offsets.length === 0) return;
    const run = this.#writeRun((file) => {
      for (const at of this.#inOrder()) file.write(this.#arena, at, at + recordLength(this.#arena, at));
    });
    this.#runs.push(run);
    this.#offsets = [];
    this.#used = 0;
  }

  /**
   * Neighbours become one, in their place, so that equal keys stay in order, until the rest can be merged at once. A run
   * is merged again only where one pass over all did not do.
   */
  #mergeToFew(): void {
    for (let at = 0; this.#runs.length > RUNS_MERGED_MAX; at += 1) {
      if (at + 1 >= this.#runs.length) at = 0;
      const tooMany = this.#runs.length - RUNS_MERGED_MAX;
      const merged = this.#runs.slice(at, at + Math.min(RUNS_MERGED_MAX, tooMany + 1));
      const run = this.#writeRun((file) => {
        for (const { bytes, start, bodyEnd } of this.#merge(merged)) file.write(bytes, start, bodyEnd);
      });
      for (const path of merged) rmSync(path);
      this.#runs.splice(at, merged.length, run);
    }
  }

  #writeRun(write: (file: RunWriter) => void): string {
    this.#runsMade += 1;
    const run = join(this.#folder, `run-${this.#runsMade}`);
    try {
      const file = new RunWriter(run);
      try {
        write(file);
        file.flush();
      } finally {
        file.close();
      }
    } catch (thrown) {
      throw diskFault(thrown, this.#parent, 'what is sorted');
    }
    return run;
  }

  *#merge(paths: readonly string[]): Generator<PlacedRecord, void> {
    const each = Math.floor(this.#arena.length / paths.length);
    const readers = paths.map((path, order) => {
      const share = this.#arena.subarray(order * each, (order + 1) * each);
      return new RunReader(path, order, each < READ_BYTES_MIN ? Buffer.allocUnsafeSlow(READ_BYTES_MIN) : share);
    });
    try {
      const heap = readers.filter((reader) => reader.advance()).sort(compareReaders);
      for (let first = heap[0]; first !== undefined; first = heap[0]) {
        yield placeOf(first.bytes, first.at);
        if (!first.advance()) {
          const last = heap.pop();
          if (last === undefined || heap.length === 0) continue;
          heap[0] = last;
        }
        siftDown(heap);
      }
    } finally {
      for (const reader of readers) reader.close();
    }
  }
}

function folderIn(parent: string): string {
  try {
    return mkdtempSync(join(parent, 'pointlake-rewrite-'));
  } catch (thrown) {
    const message = `nothing can be kept in the temporary folder ${parent} (${(thrown as Error).message}); name another by --temporary`;
    throw new ServiceError('invalid', 'invalid_target', message, { folder: parent }, thrown);
  }
}

interface PlacedRecord extends SortedRecord {
  readonly start: number;
}

function placeOf(bytes: Buffer, at: number): PlacedRecord {
  const bodyStart = at + HEADER_BYTES + bytes.readUInt32LE(at);
  return { bytes, start: at, bodyStart, bodyEnd: at + recordLength(bytes, at) };
}

function recordLength(bytes: Buffer, at: number): number {
  return HEADER_BYTES + bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4);
}

function compareRecords(a: Buffer, aAt: number, b: Buffer, bAt: number): number {
  const aKey = aAt + HEADER_BYTES;
  const bKey = bAt + HEADER_BYTES;
  return a.compare(b, bKey, bKey + b.readUInt32LE(bAt), aKey, aKey + a.readUInt32LE(aAt));
}

function compareReaders(a: RunReader, b: RunReader): number {
  return compareRecords(a.bytes, a.at, b.bytes, b.at) || a.order - b.order;
}

function siftDown(heap: RunReader[]): void {
  for (let at = 0; ; ) {
    let least = at;
    for (const child of [2 * at + 1, 2 * at + 2]) {
      const [below, chosen] = [heap[child], heap[least]];
      if (below !== undefined && chosen !== undefined && compareReaders(below, chosen) < 0) least = child;
    }
    const [here, there] = [heap[at], heap[least]];
    if (least === at || here === undefined || there === undefined) return;
    heap[at] = there;
    heap[least] = here;
    at = least;
  }
}

class RunWriter {
  readonly #descriptor: number;
  readonly #buffer = Buffer.allocUnsafe(WRITE_BYTES);
  #used = 0;

  constructor(path: string) {
    this.#descriptor = openSync(path, 'wx');
  }

  write(source: Buffer, start: number, end: number): void {
    if (this.#used + end - start > WRITE_BYTES) this.flush();
    if (end - start > WRITE_BYTES) writeWhole(this.#descriptor, source.subarray(start, end));
    else this.#used += source.copy(this.#buffer, this.#used, start, end);
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  flush(): void {
    writeWhole(this.#descriptor, this.#buffer.subarray(0, this.#used));
    this.#used = 0;
  }
}

function writeWhole(descriptor: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at);
}

class RunReader {
  readonly order: number;
  bytes: Buffer;
  /** Where the current record begins in `bytes`. */
  at = 0;
  readonly #descriptor: number;
  #next = 0;
  #end = 0;

  /** `bytes` is what it may read through; a record that is longer takes more. */
  constructor(path: string, order: number, bytes: Buffer) {
    this.order = order;
    this.#descriptor = openSync(path, 'r');
    this.bytes = bytes;
  }

  /** To the next record; false where there is none. */
  advance(): boolean {
    if (!this.#have(HEADER_BYTES)) return false;
    if (!this.#have(recordLength(this.bytes, this.#next))) throw new RangeError('a run of the sort was cut short');
    this.at = this.#next;
    this.#next += recordLength(this.bytes, this.at);
    return true;
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  #have(length: number): boolean {
    if (this.#end - this.#next >= length) return true;
    const kept = this.#end - this.#next;
    const target = length > this.bytes.length ? Buffer.allocUnsafeSlow(2 * length) : this.bytes;
    this.bytes.copy(target, 0, this.#next, this.#end);
    this.bytes = target;
    this.#next = 0;
    this.#end = kept;
    while (this.#end < target.length) {
      const read = readSync(this.#descriptor, target, this.#end, target.length - this.#end, null);
      if (read === 0) break;
      this.#end += read;
    }
    return this.#end >= length;
  }
}
