/**
 * Many small ranges of one object, fetched as few larger ones where that is cheaper.
 *
 * A request costs latency, money and CPU; a byte costs bandwidth. Two neighbours become one GET when the bytes between
 * them cost less than a second request would: that is `maxGapBytes`. Merging stops at `maxMergedBytes`, since several
 * large GETs in parallel are faster than one of their sum. Every wanted range lies in exactly one fetch, so slicing back
 * copies nothing.
 *
 *     wanted   [--a--]  [-b-]                 [----c----]
 *     fetches  [-----------]                  [---------]
 */

import { assert, type ByteRange, rangeLength } from '../core/index.ts';
import { assertRangeInside, type ObjectMeta, type ObjectStore, type RequestOptions } from './object-store.ts';

export interface CoalesceOptions {
  /** Bytes nobody wants that are fetched to save a request. */
  readonly maxGapBytes: number;
  /** Length at which a merged range stops growing; a single wanted range may be longer. */
  readonly maxMergedBytes: number;
}

export interface FetchPlan {
  /** In order of start; one begins before another ends only where merging them would exceed the maximum. */
  readonly fetches: readonly ByteRange[];
  /** For each wanted range, in the caller's order, the fetch that holds it; -1 for an empty one. */
  readonly fetchOf: readonly number[];
}

export interface FetchRangesOptions extends RequestOptions, Partial<CoalesceOptions> {
  /** GETs of this call in flight at once. */
  readonly maxParallel?: number;
}

/** A page of the system's cache is the least that a local read costs. */
export const FILE_COALESCING: CoalesceOptions = { maxGapBytes: 4 << 10, maxMergedBytes: 4 << 20 };
/** At 100 MB/s 16 KiB take a sixth of a millisecond, far less than what a second request costs both sides. */
export const S3_COALESCING: CoalesceOptions = { maxGapBytes: 16 << 10, maxMergedBytes: 8 << 20 };
const MAX_PARALLEL = 32;

export function coalescingFor(store: ObjectStore): CoalesceOptions {
  return store.cheapReads ? FILE_COALESCING : S3_COALESCING;
}

/** Which ranges to fetch so that all wanted ones are covered. Pure; O(n log n). */
export function planFetches(wanted: readonly ByteRange[], options: CoalesceOptions): FetchPlan {
  const order = wanted.map((_, index) => index).filter((index) => rangeLength(rangeAt(wanted, index)) > 0);
  order.sort(
    (a, b) => rangeAt(wanted, a).start - rangeAt(wanted, b).start || rangeAt(wanted, b).end - rangeAt(wanted, a).end,
  );
  const fetches: ByteRange[] = [];
  const fetchOf = new Array<number>(wanted.length).fill(-1);
  for (const index of order) {
    const range = rangeAt(wanted, index);
    const current = fetches.at(-1);
    if (current !== undefined && joins(current, range, options)) {
      fetches[fetches.length - 1] = { start: current.start, end: Math.max(current.end, range.end) };
    } else {
      fetches.push(range);
    }
    fetchOf[index] = fetches.length - 1;
  }
  return { fetches, fetchOf };
}

/** The bytes of each wanted range, as views on what was fetched; each view keeps its whole fetch alive. */
export function sliceFetched(
  wanted: readonly ByteRange[],
  plan: FetchPlan,
  fetched: readonly Uint8Array[],
): Uint8Array[] {
  return wanted.map((range, index) => {
    const fetch = plan.fetchOf[index] ?? -1;
    const from = plan.fetches[fetch];
    const bytes = fetched[fetch];
    if (from === undefined || bytes === undefined) return new Uint8Array(0);
    assert(bytes.length === rangeLength(from), 'a fetch has exactly the bytes of its range');
    return bytes.length === rangeLength(range)
      ? bytes
      : bytes.subarray(range.start - from.start, range.end - from.start);
  });
}

/**
 * One Uint8Array for each wanted range, in the caller's order, by coalesced GETs in parallel. When one fails the others
 * are called off and its error is thrown: part of an answer serves nobody.
 */
export async function fetchRanges(
  store: ObjectStore,
  object: ObjectMeta,
  wanted: readonly ByteRange[],
  options: FetchRangesOptions = {},
): Promise<Uint8Array[]> {
  for (const range of wanted) if (rangeLength(range) !== 0) assertRangeInside(object, range);
  const plan = planFetches(wanted, { ...coalescingFor(store), ...definedOnly(options) });
  return sliceFetched(wanted, plan, await fetchAll(store, object, plan.fetches, options));
}

async function fetchAll(
  store: ObjectStore,
  object: ObjectMeta,
  fetches: readonly ByteRange[],
  { signal, maxParallel = MAX_PARALLEL }: FetchRangesOptions,
): Promise<Uint8Array[]> {
  const [first] = fetches;
  if (first === undefined) return [];
  if (fetches.length === 1) return [await store.getRange(object, first, { signal })];
  signal?.throwIfAborted();
  const siblings = new AbortController();
  const onAbort = () => siblings.abort(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  const fetched = new Array<Uint8Array>(fetches.length);
  const queue = fetches.entries();
  // Every lane takes from the one iterator, so each fetch is started once and in order.
  const lane = async () => {
    for (const [index, range] of queue) {
      fetched[index] = await store.getRange(object, range, { signal: siblings.signal });
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(maxParallel, fetches.length) }, lane));
    return fetched;
  } catch (error) {
    siblings.abort(error);
    throw error;
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}

function joins(current: ByteRange, range: ByteRange, { maxGapBytes, maxMergedBytes }: CoalesceOptions): boolean {
  if (range.end <= current.end) return true;
  return range.start - current.end <= maxGapBytes && range.end - current.start <= maxMergedBytes;
}

function definedOnly({ maxGapBytes, maxMergedBytes }: Partial<CoalesceOptions>): Partial<CoalesceOptions> {
  return { ...(maxGapBytes !== undefined && { maxGapBytes }), ...(maxMergedBytes !== undefined && { maxMergedBytes }) };
}

function rangeAt(ranges: readonly ByteRange[], index: number): ByteRange {
  const range = ranges[index];
  assert(range !== undefined, 'an index within the wanted ranges');
  return range;
}
