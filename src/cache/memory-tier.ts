/**
 * The blocks that stay in memory: copied into slabs when they are admitted, found by location, evicted by S3-FIFO.
 *
 *     new blocks -> [ probation ] -- read meanwhile --> [ main ] -- read meanwhile --> its own head again
 *                        \--- else gone, its hash remembered  \--- else gone
 *     blocks whose hash is remembered --------------------^
 *
 * That is S3-FIFO (Yang et al., SOSP 2023) over two logs of slabs: blocks that are read once pass through a tenth of the
 * memory, and a read costs one byte that the owner marks beside the location. There is no object, list link or map
 * entry for a resident block: what else there is to know of it stands in front of it (`memory-entry.ts`).
 *
 * A table may have a quota. It is kept at every admission: the table's own oldest blocks leave first, wherever in a log
 * they lie. Their memory is free once the log's turn comes to them, which is at once where nothing older is in front.
 *
 * An owner has numbered slots and is told where each block lies. Blocks larger than an eighth of a slab, at least, stay in
 * the memory they came in, which their owner holds; their entry is the header alone, and they are charged and evicted
 * like the others.
 *
 * Memory is written and reused in a microtask of the tier's own. So nothing moves while anybody works with a location or a
 * view, and nobody may keep one over an `await`: what has to be kept is copied or held in pins.
 */

import { assert, type BufferViews } from '../core/index.ts';
import type { Budget } from './budget.ts';
import { LearnedClock } from './learned-clock.ts';
import { MemoryArrivals } from './memory-arrivals.ts';
import {
  ENTRY_HEADER_BYTES,
  entryBytes,
  IS_GONE,
  IS_IN_MAIN,
  IS_OUTSIDE,
  OUTSIDE,
  OWNER,
  SLOT,
  STATE,
  TAG,
} from './memory-entry.ts';
import { ghostHash, MemoryGhosts } from './memory-ghosts.ts';
import { MemoryLog } from './memory-log.ts';
import {
  type Admission,
  type AdmittedBlock,
  type BlockOwner,
  MemoryOwners,
  type OwnerState,
  wasRead,
} from './memory-owners.ts';
import { MemoryQuota } from './memory-quota.ts';
import { MemoryQuotas } from './memory-quotas.ts';
import { MemoryRoom } from './memory-room.ts';
import { MemorySlabs, SLAB_MEMORY_BYTES_MAX, type SlabReaders } from './memory-slabs.ts';
import type { MemoryTierStats } from './memory-stats.ts';
import { RisingBlocks } from './rising-blocks.ts';
import type { ReadableSlabs } from './slab-views.ts';

/** The share of the probation. */
const PROBATION_SHARE = 0.1;
/** Larger blocks stay where they are: copying them gains little. */
const SLAB_BLOCK_BYTES_MAX = 64 * 1024;
/** Where there are so many, one more of them is left alone. */
const MANY_SLABS = 64;
/** Empty slabs kept ready, so that a full slab is not gone through all at once: one of 32, up to so many. */
const READY_SLABS_MAX = 3;
/** So many are never prepared ahead of their use: what others need changes from one moment to the next. */
const SLABS_LEFT = 4;
/** Bytes gone through for each that is admitted, while at least one slab is ready. */
const WORK_A_BYTE = 4;
/** Slabs' worth of read blocks that may be spared for one that is admitted; then they leave too, and nobody waits long. */
const SPARED_SLABS_MAX = 2;
/** No single block, and no dictionary, takes more than this share of the memory, or of its table's quota. */
const LARGEST_SHARE = 1 / 4;
/** Of a log, what may be memory of blocks that left out of turn. */
const GONE_SHARE_MAX = 1 / 2;

export class MemoryTier {
  readonly budget: Budget;
  readonly learned: LearnedClock;
  /** Whether other threads read what is here. */
  readonly isShared: boolean;
  readonly #slabs: MemorySlabs;
  readonly #probation: MemoryLog;
  readonly #main: MemoryLog;
  readonly #ghosts: MemoryGhosts;
  readonly #owners = new MemoryOwners();
  readonly #quotas: MemoryQuotas;
  readonly #arrivals = new MemoryArrivals();
  readonly #room: MemoryRoom;
  #working: Promise<void> | undefined = undefined;
  #dictionaryBytes = 0;
  #sparingBytesLeft = 0;
  #sparingSlabsMax = 0;
  #entries = 0;
  #admitted = 0;
  #evicted = 0;
  #spared = 0;
  #refused = 0;
  readonly #rising = new RisingBlocks();

  constructor(budget: Budget, readers?: SlabReaders) {
    this.budget = budget;
    this.learned = new LearnedClock(budget);
    const memoryBytes = Math.min(SLAB_MEMORY_BYTES_MAX, budget.limitBytes('blocks'));
    this.#slabs = new MemorySlabs(memoryBytes, readers);
    this.isShared = readers !== undefined;
    this.#probation = new MemoryLog(this.#slabs);
    this.#main = new MemoryLog(this.#slabs);
    this.#ghosts = new MemoryGhosts(memoryBytes);
    this.#room = new MemoryRoom(budget, this.#slabs, this.#ghosts.byteLength);
    this.#quotas = new MemoryQuotas(this.#slabs, this.#owners, (location) => this.#takeOut(location));
    this.#prepareSlab();
  }

  get stats(): MemoryTierStats {
    return {
      entries: this.#entries,
      bytes: heldBytes(this.#probation) + heldBytes(this.#main) + this.#dictionaryBytes,
      admitted: this.#admitted,
      evicted: this.#evicted,
      spared: this.#spared,
      refused: this.#refused,
      classes: this.budget.state,
    };
  }

  /** A number for an owner, good until it is released; its blocks count on the quota. */
  register(owner: BlockOwner, quota: MemoryQuota = new MemoryQuota()): number {
    return this.#owners.add(owner, quota);
  }

  /** The owner admits nothing more; its blocks leave when their turn comes, read or not. */
  release(id: number): void {
    const state = this.#owners.of(id);
    if (state === undefined) return;
    state.isReleased = true;
    this.#owners.forget(state);
  }

  /** Larger blocks stay in the memory they came in. */
  get slabBlockBytesMax(): number {
    return Math.min(SLAB_BLOCK_BYTES_MAX, this.#slabs.slabBytes / 8);
  }

  /** Whether one block or dictionary of so many bytes can be held at all. */
  canHold(bytes: number, { limitBytes }: MemoryQuota): boolean {
    return bytes <= Math.min(limitBytes, this.#room.limitBytes) * LARGEST_SHARE;
  }

  /**
   * Takes a block in, soon: before whoever waits for this turn's promises goes on, unless very much is admitted at once;
   * `settled` says when. Its bytes must not change until then. `tag` is given back when it is evicted.
   */
  admit(id: number, slot: number, tag: number, block: AdmittedBlock): void {
    const state = this.#owners.of(id);
    if (state === undefined || state.isReleased) return;
    this.#arrivals.add({ state, slot, tag, block });
    this.trim();
  }

  /** Whether a block that could be read in parts where it is should be taken in. */
  isWorthMore(): boolean {
    return this.#ready > READY_SLABS_MAX || this.#rising.isSampled();
  }

  /**
   * Undefined where what waits is admitted before any promise goes on; else resolves when all that waits now was taken in.
   */
  admitting(): Promise<void> | undefined {
    return this.#arrivals.taken();
  }

  /** Makes room, soon, when others need memory. */
  trim(): void {
    this.#working ??= Promise.resolve().then(() => this.#work());
  }

  /** Charges so many bytes more, or fewer, of answers on their way, and makes room for them, soon. */
  replying(bytes: number): void {
    if (bytes < 0) this.budget.release('replies', -bytes);
    else this.budget.charge('replies', bytes);
    this.trim();
  }

  /** Resolves when nothing waits to be admitted. */
  async settled(): Promise<void> {
    while (this.#working !== undefined) await this.#working;
  }

  /** Charges what lies beside the blocks, such as their dictionary. */
  hold(bytes: number, quota: MemoryQuota): void {
    this.#dictionaryBytes += bytes;
    quota.usedBytes += bytes;
    this.#room.changeOutside(bytes);
  }

  letGo(bytes: number, quota: MemoryQuota): void {
    this.hold(-bytes, quota);
  }

  /** Where blocks are read. */
  get slabs(): ReadableSlabs & Pick<MemorySlabs, 'shared'> {
    return this.#slabs;
  }

  /** Whether the block can be read where it lies, as far as its slab is known. */
  has(_location: number): boolean {
    return true;
  }

  /** The views of its slab; undefined where the owner holds the block itself. */
  read(location: number): BufferViews | undefined {
    const views = this.#slabs.viewsOf(location);
    const state = views.int32s[(this.#slabs.offsetOf(location) >>> 2) + STATE]!;
    return (state & IS_OUTSIDE) === 0 ? views : undefined;
  }

  /**
   * Slabs that may be taken for what is admitted; negative while there are too many. One is left for sparing, and one of many
   * for what others take and give back from one moment to the next: else one would be made and dropped each time, a large
   * piece of garbage that V8 collects only with all of its heap.
   */
  get #ready(): number {
    const slabs = this.#room.slabsMax;
    return slabs - (slabs < MANY_SLABS ? 1 : 2) - this.#slabsInUse;
  }

  get #slabsInUse(): number {
    return this.#probation.slabs + this.#main.slabs;
  }

  /**
   * One beyond those that there are, once another will be wanted soon, until there are nearly as many as there may be: then those that were
   * emptied do.
   */
  #prepareSlab(): void {
    if (this.#slabs.allocated + SLABS_LEFT > this.#room.slabsMax) return;
    const half = this.#slabs.slabBytes / 2;
    const open = [this.#probation, this.#main].filter(({ slabs }) => slabs > 0);
    if (open.length > 0 && open.every((log) => log.hasRoom(half))) return;
    void this.#slabs.prepare();
    this.#room.chargeSlabs();
  }

  async #work(): Promise<void> {
    try {
      for (;;) {
        await this.#arrivals.takeAll((admission) => this.#take(admission));
        this.#beginSparing();
        while (this.#ready < 0 && this.#evictOldest() > 0);
        this.#room.giveBack();
        this.#prepareSlab();
        if (this.#arrivals.isEmpty) return;
      }
    } finally {
      this.#working = undefined;
    }
  }

  /** The bytes that were copied. */
  #take({ state, slot, tag, block }: Admission): number {
    if (state.isReleased || state.owner.locationOf(slot) !== 0) return 0;
    const { quota } = state;
    const { views, byteOffset, byteLength } = block;
    const isOutside = byteLength > this.slabBlockBytesMax;
    const outside = isOutside ? views.buffer.byteLength : 0;
    const bytes = entryBytes(isOutside ? 0 : byteLength);
    const isKnown = this.#ghosts.recall(ghostHash(state.id, slot), this.#room.limitBytes);
    const log = isKnown ? this.#main : this.#probation;
    const canHold = this.canHold(Math.max(bytes, outside), quota);
    if (canHold) this.#keepWithin(quota, bytes + outside);
    this.#room.changeOutside(outside);
    if (!canHold || !this.#makeRoom(log, bytes, bytes + outside)) {
      this.#room.changeOutside(-outside);
      this.#refused += 1;
      return 0;
    }
    const location = log.append(bytes);
    const target = this.#slabs.viewsOf(location);
    const at = this.#slabs.offsetOf(location);
    const flags = (isOutside ? IS_OUTSIDE : 0) | (isKnown ? IS_IN_MAIN : 0);
    const turn = this.#quotas.queue(quota, state.id, slot);
    target.int32s.set([bytes, state.id, slot, flags, outside, tag, 0, turn], at >>> 2);
    if (!isOutside) views.bytes.copy(target.bytes, at + ENTRY_HEADER_BYTES, byteOffset, byteOffset + byteLength);
    log.weightBytes += bytes + outside;
    this.#entries += 1;
    this.#admitted += 1;
    state.residents += 1;
    quota.usedBytes += bytes + outside;
    state.owner.admitted(slot, location, block, isOutside);
    // The dictionary came with it.
    this.#keepWithin(quota, 0);
    return isOutside ? 0 : byteLength;
  }

  /** Makes so many bytes more fit in the quota, where that can be. */
  #keepWithin(quota: MemoryQuota, moreBytes: number): void {
    if (quota.usedBytes + moreBytes <= quota.limitBytes) return;
    this.#quotas.keepWithin(quota, moreBytes);
    for (const log of [this.#probation, this.#main]) this.#closeGaps(log, WORK_A_BYTE * moreBytes);
  }

  /** Passes what is gone; where that is much of the log, what lies between goes to its head. */
  #closeGaps(log: MemoryLog, workBytes: number): void {
    this.#beginSparing();
    for (let left = workBytes; ; ) {
      const isGone = this.#isGone(log.oldest());
      if (!isGone && (left <= 0 || log.goneBytes <= GONE_SHARE_MAX * log.weightBytes || !this.#mayOpenToSpare()))
        return;
      const passed = this.#passOldest(log, log);
      if (!isGone) left -= passed;
    }
  }

  /** Evicts a block wherever it lies in its log. It is not remembered: what its table may hold, it holds. */
  #takeOut(location: number): void {
    const words = this.#slabs.viewsOf(location).int32s;
    const at = this.#slabs.offsetOf(location) >>> 2;
    const [bytes, outside] = [words[at]!, words[at + OUTSIDE]!];
    const log = (words[at + STATE]! & IS_IN_MAIN) === 0 ? this.#probation : this.#main;
    log.weightBytes -= outside;
    log.goneBytes += bytes;
    this.#leave(words, at);
    words[at + STATE] = words[at + STATE]! | IS_GONE;
    words[at + OUTSIDE] = 0;
  }

  #isGone(location: number): boolean {
    if (location === 0) return false;
    const { int32s } = this.#slabs.viewsOf(location);
    return (int32s[(this.#slabs.offsetOf(location) >>> 2) + STATE]! & IS_GONE) !== 0;
  }

  /** Room for an entry at the head of the log; false where there is none to be had. `weight` has been charged already. */
  #makeRoom(log: MemoryLog, bytes: number, weight: number): boolean {
    let work = WORK_A_BYTE * weight;
    this.#beginSparing();
    const wanted = Math.min(READY_SLABS_MAX, Math.max(1, this.#room.slabsMax >>> 5));
    while (this.#ready < wanted && (this.#ready < 1 || work > 0)) {
      const passed = this.#evictOldest();
      if (passed === 0) break;
      work -= passed;
    }
    return this.#openFor(log, bytes, this.#ready >= 1);
  }

  /**
   * Sparing takes no more memory than it soon frees, but needs a slab to begin with: one more than there are, even
   * while there are too many.
   */
  #beginSparing(): void {
    this.#sparingBytesLeft = SPARED_SLABS_MAX * this.#slabs.slabBytes;
    this.#sparingSlabsMax = this.#slabsInUse + 1;
  }

  #mayOpenToSpare(): boolean {
    return this.#sparingBytesLeft > 0 && (this.#ready >= 1 || this.#slabsInUse < this.#sparingSlabsMax);
  }

  #openFor(log: MemoryLog, bytes: number, mayOpen: boolean): boolean {
    if (log.hasRoom(bytes)) return true;
    const slab = mayOpen ? this.#slabs.take() : undefined;
    if (slab === undefined) return false;
    log.open(slab);
    this.#room.chargeSlabs();
    return true;
  }

  /** Takes the oldest entry out of the log whose turn it is, or to the head of the main log; the bytes passed, or 0. */
  #evictOldest(): number {
    const all = this.#probation.weightBytes + this.#main.weightBytes;
    const isProbation = this.#probation.weightBytes > PROBATION_SHARE * all;
    const first = isProbation ? this.#probation : this.#main;
    const log = first.oldest() === 0 ? (isProbation ? this.#main : this.#probation) : first;
    return this.#passOldest(log);
  }

  /** Where `unread` is given, what was not read goes to the head of that log instead of leaving. */
  #passOldest(log: MemoryLog, unread?: MemoryLog): number {
    const location = log.oldest();
    if (location === 0) return 0;
    const views = this.#slabs.viewsOf(location);
    const words = views.int32s;
    const at = this.#slabs.offsetOf(location) >>> 2;
    const bytes = words[at]!;
    const weight = bytes + words[at + OUTSIDE]!;
    log.weightBytes -= weight;
    const owner = this.#owners.of(words[at + OWNER]!);
    const isGone = (words[at + STATE]! & IS_GONE) !== 0;
    const isRead = !isGone && wasRead(owner, words[at + SLOT]!);
    const to = isRead ? this.#main : unread;
    const isItsTurn = !isGone && unread === undefined && owner?.isReleased === false;
    if (isItsTurn) this.#rising.judge(log === this.#main ? 'main' : 'probation', isRead);
    if (isGone) log.goneBytes -= bytes;
    else if (to !== undefined && this.#mayStay(owner) && this.#openFor(to, bytes, this.#mayOpenToSpare())) {
      this.#spare(owner, to, views, at, weight, isRead);
    } else {
      if (log === this.#probation) this.#ghosts.remember(ghostHash(words[at + OWNER]!, words[at + SLOT]!), weight);
      this.#leave(words, at);
    }
    log.pass(bytes);
    return weight;
  }

  #mayStay(owner: OwnerState | undefined): owner is OwnerState {
    assert(owner !== undefined, 'a resident block has an owner');
    return !owner.isReleased && !owner.quota.isOver && this.#sparingBytesLeft > 0;
  }

  #spare(state: OwnerState, log: MemoryLog, views: BufferViews, at: number, weight: number, isRead: boolean): void {
    const bytes = views.int32s[at]!;
    const location = log.append(bytes);
    const target = this.#slabs.viewsOf(location);
    const to = this.#slabs.offsetOf(location) >>> 2;
    views.bytes.copy(target.bytes, 4 * to, 4 * at, 4 * at + bytes);
    if (log === this.#main) target.int32s[to + STATE] = target.int32s[to + STATE]! | IS_IN_MAIN;
    log.weightBytes += weight;
    this.#sparingBytesLeft -= bytes;
    if (isRead) this.#spared += 1;
    state.owner.moved(target.int32s[to + SLOT]!, location, target.int32s[to + TAG]!, isRead);
  }

  /** Its owner has it no more. */
  #leave(words: Int32Array, at: number): void {
    const state = this.#owners.of(words[at + OWNER]!);
    assert(state !== undefined, 'a resident block has an owner');
    this.#room.changeOutside(-words[at + OUTSIDE]!);
    this.#entries -= 1;
    this.#evicted += 1;
    state.residents -= 1;
    state.quota.usedBytes -= words[at]! + words[at + OUTSIDE]!;
    state.owner.evicted(words[at + SLOT]!, words[at + TAG]!);
    this.#owners.forget(state);
  }
}

const heldBytes = ({ weightBytes, goneBytes }: MemoryLog) => weightBytes - goneBytes;
