/**
 * Which of many intervals hold a number: the intervals in the order of their lower ends, and above them a binary tree of
 * the greatest upper end below each node.
 *
 *     lower ends   ascending: those above the number are cut off by one binary search
 *     upper ends   a branch whose greatest is below the number is not entered
 *
 * Finding m of n takes some m * log(n) steps. Ends without a limit are infinities; an interval whose lower end is above
 * its upper end holds nothing.
 */

export class IntervalTree {
  readonly #low: Float64Array;
  /** The interval at each place of that order. */
  readonly #order: Uint32Array;
  /** Node i has the children 2i and 2i + 1; the leaves begin at `#leaves`. */
  readonly #greatest: Float64Array;
  readonly #leaves: number;

  /** `low` and `high` hold no NaN. */
  constructor(low: Float64Array, high: Float64Array) {
    const order = Uint32Array.from(low.keys());
    order.sort((a, b) => compareNumbers(low[a] as number, low[b] as number));
    this.#order = order;
    this.#low = Float64Array.from(order, (interval) => low[interval] as number);
    this.#leaves = 1;
    while (this.#leaves < order.length) this.#leaves *= 2;
    this.#greatest = new Float64Array(2 * this.#leaves).fill(Number.NEGATIVE_INFINITY);
    for (const [place, interval] of order.entries()) this.#greatest[this.#leaves + place] = high[interval] as number;
    for (let node = this.#leaves - 1; node > 0; node--) {
      const right = this.#greatest[2 * node + 1] as number;
      this.#greatest[node] = Math.max(this.#greatest[2 * node] as number, right);
    }
  }

  /** The intervals that hold the number, in no order; undefined where they are more than `limit`. */
  stab(at: number, limit: number): number[] | undefined {
    const found: number[] = [];
    const end = this.#firstAbove(at);
    if (end === 0) return found;
    return this.#visit(1, 0, this.#leaves, at, end, limit, found) ? found : undefined;
  }

  /** False once there are too many. */
  #visit(node: number, start: number, size: number, at: number, end: number, limit: number, found: number[]): boolean {
    if (start >= end || (this.#greatest[node] as number) < at) return true;
    if (size === 1) return found.push(this.#order[start] as number) <= limit;
    const half = size / 2;
    return (
      this.#visit(2 * node, start, half, at, end, limit, found) &&
      this.#visit(2 * node + 1, start + half, half, at, end, limit, found)
    );
  }

  #firstAbove(at: number): number {
    let from = 0;
    let to = this.#low.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if ((this.#low[middle] as number) <= at) from = middle + 1;
      else to = middle;
    }
    return from;
  }
}

/** Subtraction makes NaN of two infinities. */
function compareNumbers(a: number, b: number): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
