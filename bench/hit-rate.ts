/**
 * Hit rates of policies of eviction on seeded traces of block accesses, and of the memory tier itself with real bytes.
 *
 *     npm run bench -- hit-rate [--small]
 *
 * Blocks are of mixed sizes, a few large. Each cache has the same bytes, of which the tier's own overhead is a part. Reads
 * of scans are not counted, nor is the first fifth of a trace. The tier must beat LRU by a point wherever there are scans
 * and nowhere lose more than one to it.
 *
 * Then blocks that rise to memory from disk, where a part of one can be read: hits, and what all reads cost, a part counted as 1 and a
 * block that rises as 5. By turns whatever is touched a second time rises, and what memory says is worth it; that must not cost more.
 */

import { createHash } from 'node:crypto';
import { type AdmittedBlock, type BlockOwner, Budget, BYTES_A_TOUCH, Ghosts, MemoryTier } from '../src/cache/index.ts';
import { BufferViews } from '../src/core/index.ts';
import { accessTrace, randomNumbers, type TraceOptions } from './harness/access-traces.ts';
import { type CacheModel, lru, s3Fifo, sieve, wTinyLfu } from './harness/eviction-models.ts';

const small = process.argv.includes('--small');
const BLOCKS = small ? 6000 : 30_000;
const ACCESSES = small ? 60_000 : 400_000;
const CAPACITIES = [0.01, 0.1, 0.3];
const SEED = 20_261_123;
const WARM_SHARE = 1 / 5;
const RISING_BLOCKS = small ? 3000 : 12_000;
const RISING_READS = small ? 100_000 : 2_000_000;
/** Of what a decoder makes. */
const RISING_BYTES = 27_000;
const RISE_COST = 5;

class Owner implements BlockOwner {
  readonly locations = new Int32Array(BLOCKS);
  readonly reads = new Uint8Array(BLOCKS);
  readonly #outside = new Map<number, AdmittedBlock>();

  locationOf(slot: number): number {
    return this.locations[slot]!;
  }

  admitted(slot: number, location: number, block: AdmittedBlock, isOutside: boolean): void {
    this.locations[slot] = location;
    this.reads[slot] = 0;
    if (isOutside) this.#outside.set(slot, block);
  }

  moved(slot: number, location: number): void {
    this.locations[slot] = location;
  }

  takeRead(slot: number): boolean {
    const isRead = this.reads[slot] === 1;
    this.reads[slot] = 0;
    return isRead;
  }

  evicted(slot: number): void {
    this.locations[slot] = 0;
    this.#outside.delete(slot);
  }
}

type Shape = Pick<TraceOptions, 'skew' | 'shifts'> & { readonly name: string; readonly hasScans: boolean };
const SHAPES: readonly Shape[] = [
  { name: 'Zipf 0.8', skew: 0.8, shifts: 0, hasScans: false },
  { name: 'Zipf 0.99', skew: 0.99, shifts: 0, hasScans: false },
  { name: 'Zipf 1.1', skew: 1.1, shifts: 0, hasScans: false },
  { name: 'Zipf 0.8 + scans', skew: 0.8, shifts: 0, hasScans: true },
  { name: 'Zipf 0.99 + scans', skew: 0.99, shifts: 0, hasScans: true },
  { name: 'Zipf 1.1 + scans', skew: 1.1, shifts: 0, hasScans: true },
  { name: 'hot set moves', skew: 0.99, shifts: 3, hasScans: false },
  { name: 'hot set moves + scans', skew: 0.99, shifts: 3, hasScans: true },
  { name: 'hot set moves fast', skew: 0.99, shifts: 9, hasScans: false },
];

/** How popular blocks are, and how often all of that changes. */
const RISING: readonly (readonly [name: string, skew: number, shifts: number])[] = [
  ['uniform', 0, 0],
  ['Zipf 0.5', 0.5, 0],
  ['Zipf 0.8', 0.8, 0],
  ['Zipf 0.99', 0.99, 0],
  ['Zipf 1.1', 1.1, 0],
  ['Zipf 0.8, moves', 0.8, 3],
  ['Zipf 0.99, moves', 0.99, 3],
];

const sizes = blockSizes();
const totalBytes = sizes.reduce((sum, bytes) => sum + bytes, 0);
const models: Readonly<Record<string, (capacity: number) => CacheModel>> = {
  LRU: lru,
  SIEVE: sieve,
  'S3-FIFO': s3Fifo,
  'W-TinyLFU': (capacity) => wTinyLfu(capacity, BLOCKS),
};
const digest = createHash('sha256');
const missed: string[] = [];

console.log(
  `${BLOCKS} blocks of ${Math.min(...sizes)} to ${Math.max(...sizes)} bytes, ${Math.round(totalBytes / 2 ** 20)} MiB; ${ACCESSES} accesses; hits in %`,
);
console.log(['trace'.padEnd(24), 'cache', ...Object.keys(models), 'tier'].map((cell) => cell.padStart(9)).join(' '));
for (const shape of SHAPES) for (const share of CAPACITIES) await compare(shape, share);
console.log(`\n${RISING_BLOCKS} blocks of ${RISING_BYTES} bytes on disk, ${RISING_READS} reads of parts`);
console.log(
  ['trace'.padEnd(24), 'memory', 'all: hits', 'cost', 'worth: hits', 'cost'].map((cell) => cell.padStart(11)).join(' '),
);
for (const [name, skew, shifts] of RISING)
  for (const share of [0.1, 0.3]) await compareRising(name, skew, shifts, share);
console.log(`digest ${digest.digest('hex').slice(0, 16)}`);
if (missed.length > 0 && !small) {
  console.log(`MISSED: ${missed.join('; ')}`);
  process.exitCode = 1;
}

async function compare(shape: Shape, share: number): Promise<void> {
  const capacity = Math.floor(totalBytes * share);
  const scanCapacity = shape.hasScans ? Math.round(BLOCKS * share) : 0;
  const trace = accessTrace({ blocks: BLOCKS, accesses: ACCESSES, scanCapacity, seed: SEED, ...shape });
  const rates = Object.values(models).map((make) => hitRate(trace, make(capacity)));
  const [ofLru = 0] = rates;
  const ours = await tierHitRate(trace, capacity);
  const cells = [...rates, ours].map((rate) => (100 * rate).toFixed(1).padStart(9));
  console.log([shape.name.padEnd(24), `${100 * share}%`.padStart(9), ...cells].join(' '));
  digest.update(cells.join());
  if (ours < ofLru + (shape.hasScans ? 0.01 : -0.01)) missed.push(`${shape.name} at ${100 * share}%`);
}

function hitRate(trace: Int32Array, cache: CacheModel): number {
  let hits = 0;
  let counted = 0;
  for (let at = 0; at < trace.length; at++) {
    const block = blockOf(trace[at]!);
    const isHit = cache.access(block, sizes[block]!);
    if (trace[at]! < 0 || at < WARM_SHARE * trace.length) continue;
    counted += 1;
    if (isHit) hits += 1;
  }
  return hits / counted;
}

async function tierHitRate(trace: Int32Array, capacity: number): Promise<number> {
  const tier = new MemoryTier(new Budget(capacity));
  const owner = new Owner();
  const id = tier.register(owner);
  const source = new BufferViews(new ArrayBuffer(64 * 1024));
  let hits = 0;
  let counted = 0;
  for (let at = 0; at < trace.length; at++) {
    const block = blockOf(trace[at]!);
    const location = owner.locations[block]!;
    if (location !== 0) owner.reads[block] = 1;
    else {
      const byteLength = sizes[block]!;
      const views = byteLength > tier.slabBlockBytesMax ? new BufferViews(new ArrayBuffer(byteLength)) : source;
      tier.admit(id, block, 0, { views, byteOffset: 0, byteLength });
      await tier.settled();
    }
    if (trace[at]! < 0 || at < WARM_SHARE * trace.length) continue;
    counted += 1;
    if (location !== 0) hits += 1;
  }
  const used = tier.budget.usedBytes('blocks');
  if (used > capacity) throw new Error(`the tier took ${used} of ${capacity} bytes`);
  return hits / counted;
}

async function compareRising(name: string, skew: number, shifts: number, share: number): Promise<void> {
  const trace = accessTrace({
    blocks: RISING_BLOCKS,
    accesses: RISING_READS,
    scanCapacity: 0,
    seed: SEED,
    skew,
    shifts,
  });
  const capacity = Math.floor(RISING_BLOCKS * RISING_BYTES * share);
  const all = await rising(trace, capacity, () => true);
  const worth = await rising(trace, capacity, (tier) => tier.isWorthMore());
  const cells = [all, worth].flatMap(({ hits, cost }) => [(100 * hits).toFixed(1), cost.toFixed(3)]);
  console.log([name.padEnd(24), `${100 * share}%`, ...cells].map((cell) => cell.padStart(11)).join(' '));
  digest.update(cells.join());
  if (worth.cost > all.cost) missed.push(`what rises by ${name} at ${100 * share}%`);
}

/** Hits of all reads, and what a read costs. */
async function rising(
  trace: Int32Array,
  capacity: number,
  isWorth: (tier: MemoryTier) => boolean,
): Promise<{ readonly hits: number; readonly cost: number }> {
  const tier = new MemoryTier(new Budget(capacity));
  const owner = new Owner();
  const id = tier.register(owner);
  const touched = new Ghosts(capacity / BYTES_A_TOUCH);
  const random = randomNumbers(SEED + 2);
  const hashes = Array.from({ length: RISING_BLOCKS }, () => [random(), random()] as const);
  const views = new BufferViews(new ArrayBuffer(64 * 1024));
  const counted = { reads: 0, hits: 0, risen: 0 };
  for (const [at, block] of trace.entries()) {
    const weight = at < WARM_SHARE * trace.length ? 0 : 1;
    counted.reads += weight;
    const [high, low] = hashes[block]!;
    if (owner.locations[block] !== 0) {
      owner.reads[block] = 1;
      counted.hits += weight;
    } else if (touched.wasSeen(high, low) && isWorth(tier)) {
      tier.admit(id, block, 0, { views, byteOffset: 0, byteLength: RISING_BYTES });
      await tier.settled();
      counted.risen += weight;
    }
  }
  const { reads, hits, risen } = counted;
  return { hits: hits / reads, cost: (reads - hits + RISE_COST * risen) / reads };
}

function blockOf(access: number): number {
  return access < 0 ? -1 - access : access;
}

/** Most are between a kilobyte and the decoder's usual size; one in a hundred is large. */
function blockSizes(): readonly number[] {
  const random = randomNumbers(SEED + 1);
  return Array.from({ length: BLOCKS }, () => {
    const kind = random() % 100;
    if (kind === 0) return 65_536 + (random() % 65_536);
    return kind < 30 ? 1024 + (random() % 7168) : 16_384 + (random() % 24_576);
  }).map((bytes) => 8 * Math.ceil(bytes / 8));
}
