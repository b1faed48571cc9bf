/**
 * The dictionary of a chunk on its way out: distinct values in the order of their first appearance. It grows to
 * `DICTIONARY_BYTES_MAX`; pages that begin after that are PLAIN.
 */

import { GrowingBytes } from './growing-bytes.ts';

/** A cold lookup fetches it beside the page, so it is to be no larger than a page. */
const DICTIONARY_BYTES_MAX = 64 * 1024;

export class Dictionary {
  /** As a PLAIN page. */
  readonly values = new GrowingBytes(1024);
  readonly #codes = new Map<string, number>();

  get size(): number {
    return this.#codes.size;
  }

  get isFull(): boolean {
    return this.values.length >= DICTIONARY_BYTES_MAX;
  }

  /** The code of the value that lies in `plain` as PLAIN has it, which is the next one where it is new. */
  codeOf(plain: Buffer, start: number, end: number): number {
    const text = plain.toString('latin1', start, end);
    const known = this.#codes.get(text);
    if (known !== undefined) return known;
    const code = this.#codes.size;
    this.#codes.set(text, code);
    this.values.append(plain, start, end);
    return code;
  }
}
