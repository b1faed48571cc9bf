/** Run as a process of its own by memory-rss.test.ts: fills a tier several times over and tells what the process takes. */

import { Budget, MemoryTier } from '../../src/cache/index.ts';
import { BufferViews } from '../../src/core/index.ts';
import { PlainOwner } from './memory-owner.ts';

const MIB = 2 ** 20;
const before = process.memoryUsage.rss();
const owner = new PlainOwner(new MemoryTier(new Budget(256 * MIB)));
const atStart = process.memoryUsage.rss();
// One source for all blocks: what decoding leaves behind is not the tier's.
const views = new BufferViews(new ArrayBuffer(32 * 1024));
for (let slot = 0; slot < 24_000; slot++) {
  owner.tier.admit(owner.id, slot, 3 * slot, { views, byteOffset: 0, byteLength: 32 * 1024 });
  if (slot % 100 === 99) await owner.tier.settled();
}
await owner.tier.settled();
const full = process.memoryUsage.rss();
console.log(JSON.stringify({ before, atStart, full, entries: owner.tier.stats.entries }));
