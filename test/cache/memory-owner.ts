/** An owner of blocks of plain bytes, which holds what it reads against what it admitted. */

import assert from 'node:assert/strict';
import { type AdmittedBlock, type BlockOwner, MemoryQuota, type MemoryTier } from '../../src/cache/index.ts';
import { BufferViews } from '../../src/core/index.ts';

export class PlainOwner implements BlockOwner {
  readonly tier: MemoryTier;
  readonly id: number;
  readonly quota: MemoryQuota;
  readonly locations: number[] = [];
  readonly outside = new Map<number, AdmittedBlock>();
  readonly reads = new Set<number>();
  readonly lengths = new Map<number, number>();
  /** What happened, in words. */
  readonly log: string[] = [];

  constructor(tier: MemoryTier, quota: MemoryQuota = new MemoryQuota()) {
    this.quota = quota;
    this.tier = tier;
    this.id = tier.register(this, quota);
  }

  /** Offers a block whose every byte tells the owner and the slot. */
  offer(slot: number, byteLength: number): void {
    this.lengths.set(slot, byteLength);
    const views = new BufferViews(new ArrayBuffer(byteLength));
    views.bytes.fill(this.pattern(slot));
    this.tier.admit(this.id, slot, 3 * slot, { views, byteOffset: 0, byteLength });
  }

  pattern(slot: number): number {
    return (this.id * 31 + slot * 7 + 1) & 0xff;
  }

  /** Reads a slot as a lookup does: false where it is not resident; its bytes must be those that were admitted. */
  read(slot: number): boolean {
    const location = this.locationOf(slot);
    if (location === 0) return false;
    this.reads.add(slot);
    const views = this.tier.read(location);
    const block =
      views === undefined ? this.outside.get(slot) : { views, byteOffset: this.tier.slabs.blockAt(location) };
    assert.ok(block !== undefined, 'a block outside of the slabs is held');
    const length = this.lengths.get(slot) ?? 0;
    const bytes = block.views.bytes.subarray(block.byteOffset, block.byteOffset + length);
    assert.equal(bytes.length, length);
    assert.ok(
      bytes.every((byte) => byte === this.pattern(slot)),
      `owner ${this.id} slot ${slot} reads its own bytes`,
    );
    return true;
  }

  /** The same without counting as a read. */
  isResident(slot: number): boolean {
    return this.locationOf(slot) !== 0;
  }

  get residents(): readonly number[] {
    return this.locations.flatMap((location, slot) => (location > 0 ? [slot] : []));
  }

  locationOf(slot: number): number {
    return this.locations[slot] ?? 0;
  }

  admitted(slot: number, location: number, block: AdmittedBlock, isOutside: boolean): void {
    assert.equal(this.locationOf(slot), 0, 'what is resident is not admitted again');
    this.locations[slot] = location;
    this.reads.delete(slot);
    if (isOutside) this.outside.set(slot, block);
    this.log.push(`+${slot}`);
  }

  moved(slot: number, location: number, tag: number): void {
    assert.notEqual(this.locationOf(slot), 0);
    assert.equal(tag, 3 * slot);
    this.locations[slot] = location;
  }

  takeRead(slot: number): boolean {
    return this.reads.delete(slot);
  }

  evicted(slot: number, tag: number): void {
    assert.notEqual(this.locationOf(slot), 0, 'only what is resident is evicted');
    assert.equal(tag, 3 * slot);
    this.locations[slot] = 0;
    this.outside.delete(slot);
    this.log.push(`-${slot}`);
  }
}
