/**
 * The headers of a reply that hot rows have in common.
 *
 * Only the age of the snapshot and the length of the body differ from row to row, so that one array is made once, as Node takes
 * it, and one text, as it goes over the wire, and the two are put in before each reply. Whoever writes the reply is done with
 * the array before it returns.
 */

import { STATUS_CODES } from 'node:http';

const AGE = 'pointlake-snapshot-age';

export class ReplyHeaders {
  readonly #common: readonly string[];
  readonly #withLength: string[];
  readonly #ageAt: number;
  #ageSeconds = 0;
  #text = '';
  #textAgeSeconds = -1;

  constructor(common: readonly string[]) {
    this.#common = common;
    this.#ageAt = common.length + 1;
    this.#withLength = [...common, AGE, '0', 'content-length', '0'];
  }

  /** Names and values in turn, with `content-length`, which is also given to a HEAD. Valid until the next call. */
  withLength(ageSeconds: number, bodyBytes: number): string[] {
    const headers = this.#withLength;
    if (ageSeconds !== this.#ageSeconds) {
      this.#ageSeconds = ageSeconds;
      headers[this.#ageAt] = `${ageSeconds}`;
    }
    headers[this.#ageAt + 2] = `${bodyBytes}`;
    return headers;
  }

  /** Lines of `name: value`, the last of them up to where the body's length follows. */
  textToLength(ageSeconds: number): string {
    if (ageSeconds !== this.#textAgeSeconds) {
      this.#textAgeSeconds = ageSeconds;
      this.#text = `${headerLines(this.list(ageSeconds))}content-length: `;
    }
    return this.#text;
  }

  /** A list of its own, for replies without a body or of which more is to be said. */
  list(ageSeconds: number): readonly string[] {
    return [...this.#common, AGE, `${ageSeconds}`];
  }
}

/** The status and these headers, for who writes a reply by hand; others may follow, then an empty line. */
export function headOf(status: number, headers: readonly string[]): string {
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'unknown'}\r\n${headerLines(headers)}`;
}

/** Names and values in turn as HTTP/1.1 has them. */
export function headerLines(headers: readonly string[]): string {
  let lines = '';
  for (let i = 0; i < headers.length; i += 2) lines += `${headers[i]}: ${headers[i + 1]}\r\n`;
  return lines;
}
