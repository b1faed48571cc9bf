/**
 * The headers of a reply that hot rows have in common, as Node takes them: names and values in turn.
 *
 * Only the age of the snapshot and the length of the body differ from row to row, so that one array is made once and its
 * two values are put in before each reply. Whoever writes the reply is done with the array before it returns.
 */

const AGE = 'pointlake-snapshot-age';

export class ReplyHeaders {
  readonly #common: readonly string[];
  readonly #withLength: string[];
  readonly #ageAt: number;
  #ageSeconds = 0;

  constructor(common: readonly string[]) {
    this.#common = common;
    this.#ageAt = common.length + 1;
    this.#withLength = [...common, AGE, '0', 'content-length', '0'];
  }

  /** Valid until the next call; with `content-length`, which is also given to a HEAD. */
  withLength(ageSeconds: number, bodyBytes: number): string[] {
    const headers = this.#withLength;
    if (ageSeconds !== this.#ageSeconds) {
      this.#ageSeconds = ageSeconds;
      headers[this.#ageAt] = `${ageSeconds}`;
    }
    headers[this.#ageAt + 2] = `${bodyBytes}`;
    return headers;
  }

  /** A list of its own, for replies without a body or of which more is to be said. */
  list(ageSeconds: number): readonly string[] {
    return [...this.#common, AGE, `${ageSeconds}`];
  }
}
