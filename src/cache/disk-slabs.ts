/**
 * All slabs of the disk tier: which frame holds a block, and which frame a new one gets.
 *
 *     hash --(open addressing)--> location = slab x 2^18 + frame --> place in the file
 *
 * A slab's frames are of one size, and sizes grow by at most an eighth, so that little is wasted. Within a size
 * blocks leave by CLOCK: the hand spares one that was read since it last passed. Slabs move between sizes: one that
 * has no slab takes the least read one, and one that turned over a whole slab's worth takes from a size that is read less
 * than half as much.
 */

import { unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { SECTOR_BYTES } from './disk-frame.ts';
import { FRAME_MEMORY_BYTES, FREE, framesOf, Slab, USED, VISITED, WRITING } from './disk-slab.ts';

const FRAME_BITS = 18;
const SLABS_MAX = 2 ** 14 - 1;
const SLAB_BYTES_MIN = 256 * 1024;
const SLAB_BYTES_MAX = 2 ** 30;
/** Slabs in the whole, about: more move more easily between sizes, fewer need fewer descriptors. */
const SLABS_AIM = 128;
/** Steps of the hand before it takes a block that was read. */
const HAND_STEPS_MAX = 4096;
const NO_SLOT = -1;

/** The frames of one size. */
interface SizeClass {
  readonly frameBytes: number;
  readonly slabs: Slab[];
  /** Locations that were given back. */
  readonly freed: number[];
  handSlab: number;
  handFrame: number;
  evictedSinceMove: number;
}

export interface SlabsState {
  readonly slabs: number;
  readonly bytes: number;
  readonly blocks: number;
  readonly evicted: number;
}

export class DiskSlabs {
  readonly sizeBytes: number;
  readonly slabBytes: number;
  readonly #folder: string;
  readonly #slabs: (Slab | undefined)[] = [];
  readonly #classes = new Map<number, SizeClass>();
  /** Called before a file is made; throws where none may be. */
  readonly #mayCreate: () => void;
  /** Location + 1; 0 is empty. A power of two long. */
  #slots = new Uint32Array(1024);
  #bytes = 0;
  #blocks = 0;
  #evicted = 0;

  /** Opens what files there are; those that cannot be read, are of another version or too many are removed. */
  constructor(folder: string, sizeBytes: number, files: readonly string[], mayCreate: () => void = () => undefined) {
    this.#folder = folder;
    this.sizeBytes = sizeBytes;
    this.slabBytes = slabBytesFor(sizeBytes);
    this.#mayCreate = mayCreate;
    for (const name of files) this.#adopt(name);
  }

  get state(): SlabsState {
    const slabs = this.#slabs.reduce((count, slab) => count + (slab === undefined ? 0 : 1), 0);
    return { slabs, bytes: this.#bytes, blocks: this.#blocks, evicted: this.#evicted };
  }

  /** Bytes of memory that finding blocks takes. */
  get byteSize(): number {
    return (
      this.#slots.byteLength + this.#slabs.reduce((bytes, slab) => bytes + (slab?.frames ?? 0) * FRAME_MEMORY_BYTES, 0)
    );
  }

  /** The greatest frame there can be. */
  get frameBytesMax(): number {
    return this.slabBytes - 2 * SECTOR_BYTES;
  }

  slabOf(location: number): Slab | undefined {
    return this.#slabs[location >>> FRAME_BITS];
  }

  frameOf(location: number): number {
    return location & (2 ** FRAME_BITS - 1);
  }

  /** Where the block of this hash may be, or -1. */
  find(high: number, low: number): number {
    const slot = this.#slotOf(high, low);
    return slot === NO_SLOT ? -1 : (this.#slots[slot] ?? 0) - 1;
  }

  visit(location: number): void {
    const slab = this.slabOf(location);
    if (slab === undefined) return;
    slab.reads += 1;
    if (slab.states[this.frameOf(location)] === USED) slab.states[this.frameOf(location)] = VISITED;
  }

  /** Whether a frame of so many bytes can be had without evicting anything. */
  hasRoom(bytes: number): boolean {
    const size = this.#classes.get(this.#classBytes(bytes));
    if (size !== undefined && (size.freed.length > 0 || size.slabs.some((slab) => slab.fresh < slab.frames))) {
      return true;
    }
    return this.#mayGrow();
  }

  /**
   * A frame to write so many bytes to, or -1 where none can be had now. It holds nothing until `commit`. Throws what
   * the system throws when a slab cannot be made.
   */
  reserve(bytes: number): number {
    if (bytes > this.frameBytesMax) return -1;
    const frameBytes = this.#classBytes(bytes);
    const size = this.#classOf(frameBytes);
    let location = takeUnused(size);
    if (location < 0 && (this.#growClass(size) || this.#moveSlabTo(size))) location = takeUnused(size);
    if (location < 0) location = this.#evictFrom(size);
    const slab = location < 0 ? undefined : this.slabOf(location);
    if (slab === undefined) return -1;
    slab.states[this.frameOf(location)] = WRITING;
    slab.writing += 1;
    return location;
  }

  /** The frame now holds the block of this hash, in place of any other that did; `length` is its payload's. */
  commit(location: number, high: number, low: number, length: number, form: number): void {
    const before = this.find(high, low);
    if (before >= 0) this.forget(before);
    const slab = this.slabOf(location);
    const frame = this.frameOf(location);
    if (slab === undefined) return;
    slab.writing -= 1;
    slab.states[frame] = USED;
    slab.highs[frame] = high;
    slab.lows[frame] = low;
    slab.lengths[frame] = length;
    slab.forms[frame] = form;
    this.#insert(location, low);
    this.#blocks += 1;
  }

  /** Gives a reserved frame back. */
  release(location: number): void {
    const slab = this.slabOf(location);
    if (slab === undefined) return;
    slab.writing -= 1;
    this.#free(slab, this.frameOf(location), location);
  }

  /** Drops a block that is not what it should be. */
  forget(location: number): void {
    const slab = this.slabOf(location);
    const frame = this.frameOf(location);
    const state = slab?.states[frame];
    if (slab === undefined || (state !== USED && state !== VISITED)) return;
    this.#unlink(slab, frame);
    this.#free(slab, frame, location);
  }

  close(): void {
    for (const slab of this.#slabs) slab?.close();
    this.#slabs.length = 0;
  }

  /** Every block there is, in no order. */
  *entries(): Iterable<{ readonly location: number; readonly high: number; readonly low: number }> {
    for (const stored of this.#slots) {
      const slab = stored === 0 ? undefined : this.slabOf(stored - 1);
      if (slab === undefined) continue;
      const frame = this.frameOf(stored - 1);
      yield { location: stored - 1, high: slab.highs[frame] ?? 0, low: slab.lows[frame] ?? 0 };
    }
  }

  #adopt(name: string): void {
    const path = join(this.#folder, name);
    const number = numberOf(name);
    const slab = number > SLABS_MAX ? undefined : openOrUndefined(path, number);
    if (slab === undefined || this.#bytes + slab.byteLength > this.sizeBytes) {
      slab?.close();
      unlinkSync(path);
      return;
    }
    this.#add(slab);
    for (let frame = 0; frame < slab.frames; frame++) {
      const location = locationOf(slab, frame);
      if (slab.states[frame] !== USED) {
        if (frame < slab.fresh) this.#classOf(slab.frameBytes).freed.push(location);
        continue;
      }
      const high = slab.highs[frame] ?? 0;
      const low = slab.lows[frame] ?? 0;
      // Of two frames for one block either will do.
      if (this.find(high, low) >= 0) this.#free(slab, frame, location);
      else {
        this.#insert(location, low);
        this.#blocks += 1;
      }
    }
  }

  #add(slab: Slab): void {
    this.#slabs[slab.number] = slab;
    this.#bytes += slab.byteLength;
    this.#classOf(slab.frameBytes).slabs.push(slab);
  }

  #classOf(frameBytes: number): SizeClass {
    let size = this.#classes.get(frameBytes);
    if (size === undefined) {
      size = { frameBytes, slabs: [], freed: [], handSlab: 0, handFrame: 0, evictedSinceMove: 0 };
      this.#classes.set(frameBytes, size);
    }
    return size;
  }

  /** 1 to 16 sectors, then eight sizes to each doubling, and last a slab of one frame. */
  #classBytes(bytes: number): number {
    const sectors = Math.max(1, Math.ceil(bytes / SECTOR_BYTES));
    const step = 2 ** Math.max(0, Math.ceil(Math.log2(sectors)) - 4);
    return Math.min(this.frameBytesMax, Math.ceil(sectors / step) * step * SECTOR_BYTES);
  }

  #mayGrow(): boolean {
    return this.#bytes + this.slabBytes <= this.sizeBytes;
  }

  #growClass(size: SizeClass): boolean {
    if (!this.#mayGrow()) return false;
    let number = 0;
    while (this.#slabs[number] !== undefined) number += 1;
    if (number > SLABS_MAX) return false;
    this.#mayCreate();
    this.#add(Slab.create(join(this.#folder, slabName(number)), number, this.slabBytes, size.frameBytes));
    return true;
  }

  #moveSlabTo(size: SizeClass): boolean {
    const own = size.slabs;
    const isDue = own.length === 0 || size.evictedSinceMove >= framesOf(this.slabBytes, size.frameBytes);
    if (!isDue) return false;
    size.evictedSinceMove = 0;
    const others = this.#slabs.filter((slab) => slab !== undefined && !own.includes(slab) && slab.writing === 0);
    const [first, ...rest] = others as Slab[];
    if (first === undefined) return false;
    const victim = rest.reduce((least, slab) => (slab.reads < least.reads ? slab : least), first);
    const ownReads = own.reduce((reads, slab) => reads + slab.reads, 0) / Math.max(1, own.length);
    if (own.length > 0 && victim.reads * 2 >= ownReads) return false;
    for (const slab of this.#slabs) if (slab !== undefined) slab.reads = Math.trunc(slab.reads / 2);
    return this.#relay(victim, size);
  }

  #relay(victim: Slab, size: SizeClass): boolean {
    const from = this.#classOf(victim.frameBytes);
    const fresh = framesOf(victim.byteLength, size.frameBytes) < 1 ? undefined : victim.layOutAnew(size.frameBytes);
    if (fresh === undefined) return false;
    for (let frame = 0; frame < victim.frames; frame++) {
      const state = victim.states[frame];
      if (state !== USED && state !== VISITED) continue;
      this.#unlink(victim, frame);
      this.#evicted += 1;
    }
    from.slabs.splice(from.slabs.indexOf(victim), 1);
    const kept = from.freed.filter((location) => this.slabOf(location) !== victim);
    from.freed.length = 0;
    for (const location of kept) from.freed.push(location);
    from.handSlab = 0;
    from.handFrame = 0;
    this.#slabs[victim.number] = fresh;
    size.slabs.push(fresh);
    return true;
  }

  #evictFrom(size: SizeClass): number {
    for (let step = 0; step < 2 * HAND_STEPS_MAX && size.slabs.length > 0; step++) {
      if (size.handSlab >= size.slabs.length) size.handSlab = 0;
      const slab = size.slabs[size.handSlab];
      if (slab === undefined) return -1;
      const frame = size.handFrame;
      size.handFrame += 1;
      if (size.handFrame >= slab.frames) {
        size.handFrame = 0;
        size.handSlab += 1;
      }
      const state = slab.states[frame];
      if (state === VISITED && step < HAND_STEPS_MAX) slab.states[frame] = USED;
      else if (state === USED || state === VISITED) {
        this.#unlink(slab, frame);
        this.#evicted += 1;
        size.evictedSinceMove += 1;
        return locationOf(slab, frame);
      }
    }
    return -1;
  }

  /** Takes the frame's block out of the index. */
  #unlink(slab: Slab, frame: number): void {
    const slot = this.#slotOf(slab.highs[frame] ?? 0, slab.lows[frame] ?? 0);
    if (slot !== NO_SLOT) this.#removeSlot(slot);
    this.#blocks -= 1;
    slab.states[frame] = FREE;
  }

  #free(slab: Slab, frame: number, location: number): void {
    slab.states[frame] = FREE;
    this.#classOf(slab.frameBytes).freed.push(location);
  }

  #slotOf(high: number, low: number): number {
    const mask = this.#slots.length - 1;
    for (let slot = low & mask; ; slot = (slot + 1) & mask) {
      const stored = this.#slots[slot] ?? 0;
      if (stored === 0) return NO_SLOT;
      const slab = this.slabOf(stored - 1);
      const frame = this.frameOf(stored - 1);
      if (slab?.lows[frame] === low && slab.highs[frame] === high) return slot;
    }
  }

  #insert(location: number, low: number): void {
    if ((this.#blocks + 1) * 5 > this.#slots.length * 3) this.#rehash(this.#slots.length * 2);
    place(this.#slots, location, low);
  }

  #rehash(length: number): void {
    const before = this.#slots;
    this.#slots = new Uint32Array(length);
    for (const stored of before) if (stored !== 0) place(this.#slots, stored - 1, this.#lowAt(stored - 1));
  }

  /** Closes the gap, so that whatever was placed past it is still found. */
  #removeSlot(removed: number): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let gap = removed;
    for (let slot = (gap + 1) & mask; slots[slot] !== 0; slot = (slot + 1) & mask) {
      const home = this.#lowAt((slots[slot] ?? 0) - 1) & mask;
      if (((slot - home) & mask) < ((slot - gap) & mask)) continue;
      slots[gap] = slots[slot] ?? 0;
      gap = slot;
    }
    slots[gap] = 0;
  }

  #lowAt(location: number): number {
    return this.slabOf(location)?.lows[this.frameOf(location)] ?? 0;
  }
}

function place(slots: Uint32Array, location: number, low: number): void {
  const mask = slots.length - 1;
  let slot = low & mask;
  while (slots[slot] !== 0) slot = (slot + 1) & mask;
  slots[slot] = location + 1;
}

function takeUnused(size: SizeClass): number {
  const freed = size.freed.pop();
  if (freed !== undefined) return freed;
  const slab = size.slabs.find((candidate) => candidate.fresh < candidate.frames);
  if (slab === undefined) return -1;
  slab.fresh += 1;
  return locationOf(slab, slab.fresh - 1);
}

function locationOf(slab: Slab, frame: number): number {
  return slab.number * 2 ** FRAME_BITS + frame;
}

function slabBytesFor(sizeBytes: number): number {
  const aim = 2 ** Math.floor(Math.log2(Math.max(1, sizeBytes / SLABS_AIM)));
  return Math.min(SLAB_BYTES_MAX, Math.max(SLAB_BYTES_MIN, aim));
}

function slabName(number: number): string {
  return `slab-${String(number).padStart(5, '0')}`;
}

function numberOf(name: string): number {
  return Number(/^slab-(\d{5})$/.exec(name)?.[1] ?? Number.POSITIVE_INFINITY);
}

function openOrUndefined(path: string, number: number): Slab | undefined {
  try {
    return Slab.open(path, number);
  } catch {
    return undefined;
  }
}
