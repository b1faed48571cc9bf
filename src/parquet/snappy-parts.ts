/**
 * Parts of what a Snappy stream stands for, without the rest of it.
 *
 *     stream   length | element | element | ..     an element is a literal, or a copy of what came before
 *     output   | fragment of 64 KiB | fragment | ..
 *
 * Where an element stands in the output is known only after those before it were walked over, which takes a fraction of the
 * time of decompressing them. Compressors work by fragments that neither an element nor a copy reaches out of. Nothing in
 * the format says that they must: where the walk meets an element across a border, or the decompressor a copy of what
 * is not there, the stream is decompressed whole.
 *
 * https://github.com/google/snappy/blob/main/format_description.txt
 */

import { corrupt } from '../core/index.ts';
import { decompress, snappyPreamble } from './codecs.ts';

export const FRAGMENT_BYTES: number = 64 * 1024;
/** A varint of 32 bits. */
const PREAMBLE_BYTES_MAX = 5;

/** Some consecutive bytes, the first of which is number `start`. */
export interface Piece {
  readonly start: number;
  readonly bytes: Uint8Array;
}

export class SnappyParts {
  /** Of the output. */
  readonly length: number;
  readonly #input: Uint8Array;
  /** Where the elements of each fragment begin, as far as was walked; one more than was walked over. */
  readonly #starts: number[];
  readonly #isWhole: boolean;
  #whole: Uint8Array | undefined = undefined;
  #latest: Uint8Array | undefined = undefined;

  /**
   * `length` is what the page header declares. Of a stream that is not there whole, `input` is what it begins with. Throws
   * `corrupt` where the stream declares another length.
   */
  constructor(input: Uint8Array, length: number, isWhole = true) {
    const preamble = snappyPreamble(input, length);
    this.length = length;
    this.#input = input;
    this.#isWhole = isWhole;
    this.#starts = [preamble];
  }

  /**
   * The bytes [start, end) of the output and those of their fragments beside them; where the stream is not there whole, those
   * up to `least` will do. They are good until the next call: memory that goes back at once is used again, where what waits
   * for the collector makes each piece take pages that the system has to clear first. Throws `corrupt`.
   */
  piece(start: number, end: number, least: number = end): Piece {
    if (this.#latest !== undefined) giveBack(this.#latest);
    this.#latest = undefined;
    if (end > this.length) throw corrupt(`byte ${end} was asked for of a page of ${this.length}`);
    const first = Math.trunc(start / FRAGMENT_BYTES);
    const wanted = Math.max(first + 1, Math.ceil(end / FRAGMENT_BYTES));
    const isWalked = this.#walkTo(wanted);
    const last = isWalked ? wanted : this.#starts.length - 1;
    if (!isWalked && (this.#isWhole || last <= first || last * FRAGMENT_BYTES < least)) return this.#all();
    const outputStart = first * FRAGMENT_BYTES;
    const length = Math.min(this.length, last * FRAGMENT_BYTES) - outputStart;
    const elements = this.#input.subarray(this.#starts[first], this.#starts[last]);
    try {
      this.#latest = decompress('SNAPPY', streamOf(elements, length), length);
      return { start: outputStart, bytes: this.#latest };
    } catch {
      return this.#all();
    }
  }

  #all(): Piece {
    if (!this.#isWhole)
      throw corrupt(`of ${this.length} bytes a part is wanted that ${this.#input.length} of Snappy do not give`);
    this.#whole ??= decompress('SNAPPY', this.#input, this.length);
    return { start: 0, bytes: this.#whole };
  }

  /** Walks over all fragments before this one; false where an element reaches out of its fragment. */
  #walkTo(fragment: number): boolean {
    while (this.#whole === undefined && this.#starts.length <= fragment) {
      const from = this.#starts.length - 1;
      const size = Math.min(FRAGMENT_BYTES, this.length - from * FRAGMENT_BYTES);
      const end = endOfElements(this.#input, this.#starts[from]!, size);
      const isLast = (from + 1) * FRAGMENT_BYTES >= this.length;
      if (end === undefined || (isLast && this.#isWhole && end < this.#input.length)) return false;
      this.#starts.push(end);
    }
    return this.#whole === undefined;
  }
}

/** Behind the elements from `start` on that stand for so many bytes; undefined where none ends there. */
function endOfElements(input: Uint8Array, start: number, size: number): number | undefined {
  const inputLength = input.length;
  let at = start;
  let done = 0;
  while (done < size) {
    if (at >= inputLength) return undefined;
    const tag = input[at]!;
    const element = ELEMENTS[tag]!;
    if (element !== 0) {
      at += element >>> 8;
      done += element & 0xff;
      continue;
    }
    const bytes = (tag >>> 2) - 59;
    let length = 1;
    for (let i = 1; i <= bytes; i += 1) length += (input[at + i] ?? 0) * 2 ** (8 * i - 8);
    at += 1 + bytes + length;
    done += length;
  }
  return done === size && at <= inputLength ? at : undefined;
}

/**
 * By tag what an element takes in the stream, times 256, and what it stands for: looked up, since a processor guesses branches
 * on it wrongly half the time. 0 for a literal of over 60 bytes, whose length follows its tag.
 */
const ELEMENTS = Uint16Array.from({ length: 256 }, (_, tag) => {
  const length = (tag >>> 2) + 1;
  switch (tag & 3) {
    case 0:
      return length > 60 ? 0 : 256 * (1 + length) + length;
    case 1:
      return 256 * 2 + ((tag >>> 2) & 7) + 4;
    case 2:
      return 256 * 3 + length;
    default:
      return 256 * 5 + length;
  }
});

function giveBack({ buffer, byteLength }: Uint8Array): void {
  // A small one may lie in memory that others have a part of.
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}

/** Elements that stand alone, behind the length of what they stand for; good until the next call. */
function streamOf(elements: Uint8Array, length: number): Uint8Array {
  const bytes = PREAMBLE_BYTES_MAX + elements.length;
  if (stream.length < bytes) stream = new Uint8Array(2 * bytes);
  let at = 0;
  let rest = length;
  for (; rest >= 0x80; rest >>>= 7) stream[at++] = (rest & 0x7f) | 0x80;
  stream[at++] = rest;
  stream.set(elements, at);
  return stream.subarray(0, at + elements.length);
}

/** What `streamOf` writes to: memory that is there already. */
let stream = new Uint8Array(0);
