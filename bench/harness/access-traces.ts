/** Traces of block accesses for measuring hit rates: seeded, so that two runs ask for the same blocks. */

/** Numbers of 32 bits from a seed (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b_79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

/** Draws ranks 0..n-1, rank r with a probability in proportion to 1 / (r + 1)^skew. */
function zipfRanks(n: number, skew: number, random: () => number): () => number {
  const sums = new Float64Array(n);
  let sum = 0;
  for (let rank = 0; rank < n; rank++) {
    sum += (rank + 1) ** -skew;
    sums[rank] = sum;
  }
  return () => {
    const wanted = (random() / 2 ** 32) * sum;
    let low = 0;
    let high = n - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (sums[middle]! < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}

export interface TraceOptions {
  readonly blocks: number;
  readonly accesses: number;
  readonly skew: number;
  /** Blocks that fit into the cache, which scans are measured by; 0: no scans. */
  readonly scanCapacity: number;
  /** Times that the hot set moves by a tenth of the blocks. */
  readonly shifts: number;
  readonly seed: number;
}

/** Block numbers in the order of access; those that a scan asks for are marked as -1 - block. */
export function accessTrace({ blocks, accesses, skew, scanCapacity, shifts, seed }: TraceOptions): Int32Array {
  const random = randomNumbers(seed);
  const rankOf = zipfRanks(blocks, skew, random);
  const order = shuffled(blocks, random);
  const trace: number[] = [];
  let lookups = 0;
  let scanned = 0;
  for (; lookups < accesses; lookups++) {
    const moved = Math.floor((lookups * (shifts + 1)) / accesses) * Math.floor(blocks / 10);
    trace.push(order[(rankOf() + moved) % blocks]!);
    if (scanCapacity === 0 || lookups % (10 * scanCapacity) !== 10 * scanCapacity - 1) continue;
    // Two capacities of blocks in the order in which they lie, from where the last scan ended.
    for (let i = 0; i < 2 * scanCapacity; i++) trace.push(-1 - (scanned++ % blocks));
  }
  return Int32Array.from(trace);
}

function shuffled(n: number, random: () => number): Int32Array {
  const order = Int32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = random() % (i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}
