/**
 * Hit rates of policies of eviction on seeded traces of block accesses, and of the memory tier itself with real bytes.
 *
 *     npm run bench -- hit-rate [--small]
 *
 * Blocks are of mixed sizes, a few large. Each cache has the same bytes, of which the tier's own overhead is a part. Reads
 * of scans are not counted, nor is the first fifth of a trace. The tier must beat LRU by a point wherever there are scans
 * and nowhere lose more than one to it.
 */

import { createHash } from 'node:crypto';
import { type AdmittedBlock, type BlockOwner, Budget, MemoryTier } from '../src/cache/index.ts';
import { BufferViews } from '../src/core/index.ts';
import { accessTrace, randomNumbers, type TraceOptions } from './harness/access-traces.ts';
import { type CacheModel, lru, s3Fifo, sieve, wTinyLfu } from './harness/eviction-models.ts';

const small = process.argv.includes('--small');
const BLOCKS = small ? 6000 : 30_000;
const ACCESSES = small ? 60_000 : 400_000;
const CAPACITIES = [0.01, 0.1, 0.3];
const SEED = 20_261_123;
const WARM_SHARE = 1 / 5;

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
