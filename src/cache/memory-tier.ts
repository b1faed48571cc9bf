/**
 * The blocks that stay in memory: copied into slabs when they are admitted, found by location, evicted by S3-FIFO.
 *
 *     new blocks -> [ probation ] -- read meanwhile --> [ main ] -- read meanwhile --> its own head again
 *                        \--- else gone, its hash remembered  \--- else gone
 *     blocks whose hash is remembered --------------------^
 *
 * That is S3-FIFO (Yang et al., SOSP 2023) over two logs of slabs: blocks that are read once pass through a tenth of the
 * memory, and a read costs one store into the line that the block's header is in. There is no object, list link or map
 * entry for a resident block. In front of each lies an entry header of 32 bytes, so that both headers fill one cache line:
 *
 *     word 0 bytes of the entry | 1 owner | 2 slot | 3 state | 4 bytes held outside | 5 tag | 6 order | 7 -
 *
 * An owner has numbered slots and is told where each block lies. Blocks larger than an eighth of a slab, at least, stay in
 * the memory they came in, which their owner holds; their entry is the header alone, and they are charged and evicted
 * like the others.
 *
 * Memory is written and reused in a microtask of the tier's own. So nothing moves while anybody works with a location or a
 * view, and nobody may keep one over an `await`: what has to be kept is copied or held in pins.
 */

import { assert, type BufferViews } from '../core/index.ts';
import type { Budget, BudgetClass } from './budget.ts';
import { ghostHash, MemoryGhosts } from './memory-ghosts.ts';
import { MemoryLog } from './memory-log.ts';
import { MemorySlabs, SLAB_MEMORY_BYTES_MAX, UNIT_BYTES } from './memory-slabs.ts';

const ENTRY_HEADER_BYTES = 32;
/** The word, counted from the block, in which its owner may note something of its own; 0 at first. */
export const NOTE_WORD = -2;

const OWNER = 1;
const SLOT = 2;
const STATE = 3;
const OUTSIDE = 4;
const TAG = 5;

const READ = 1;
const IS_OUTSIDE = 2;

/** The share of the probation. */
const PROBATION_SHARE = 0.1;
/** Larger blocks stay where they are: copying them gains little. */
const SLAB_BLOCK_BYTES_MAX = 64 * 1024;
/** Below this many slabs there is no cache. */
const SLABS_MIN = 8;
/** Empty slabs kept ready, so that a full slab is not gone through all at once: one of 32, up to so many. */
const READY_SLABS_MAX = 3;
/** Bytes gone through for each that is admitted, while at least one slab is ready. */
const WORK_A_BYTE = 4;
/** Slabs' worth of read blocks that may be spared for one that is admitted; then they leave too, and nobody waits long. */
const SPARED_SLABS_MAX = 2;
/** No single block, and no dictionary, takes more than this share. */
const LARGEST_SHARE = 1 / 4;
/** Bytes copied in one turn of the event loop; a page of more is admitted over several. */
const COPIED_A_TURN_BYTES = 4 * 2 ** 20;

/** Whoever has blocks: its slots are numbered, and each holds a block's location or nothing. */
export interface BlockOwner {
  /** 0 where nothing is. */
  locationOf(slot: number): number;
  /** The block is in memory from now on; if it stays in the memory it came in, the owner holds it. */
  admitted(slot: number, location: number, block: AdmittedBlock, isOutside: boolean): void;
  /** It lies elsewhere from now on, since it was read. */
  moved(slot: number, location: number, tag: number): void;
  evicted(slot: number, tag: number): void;
}

/** A block, and the memory that it is in. */
export interface AdmittedBlock {
  readonly views: BufferViews;
  readonly byteOffset: number;
  readonly byteLength: number;
}

interface Admission {
  readonly state: OwnerState;
  readonly slot: number;
  readonly tag: number;
  readonly block: AdmittedBlock;
}

interface OwnerState {
  readonly id: number;
  readonly owner: BlockOwner;
  residents: number;
  isReleased: boolean;
}

export interface MemoryTierStats {
  readonly entries: number;
  /** Of the blocks themselves and the dictionaries beside them. */
  readonly bytes: number;
  readonly admitted: number;
  readonly evicted: number;
  /** Blocks that had been read when their turn to leave came, and stayed. */
  readonly spared: number;
  /** Blocks for which there was no room. */
  readonly refused: number;
  readonly classes: Readonly<Record<BudgetClass, { readonly usedBytes: number; readonly limitBytes: number }>>;
}

export class MemoryTier {
  readonly budget: Budget;
  readonly #slabs: MemorySlabs;
  readonly #probation: MemoryLog;
  readonly #main: MemoryLog;
  readonly #ghosts: MemoryGhosts;
  readonly #owners: (OwnerState | undefined)[] = [];
  readonly #freeOwners: number[] = [];
  #waiting: Admission[] = [];
  #waitingBytes = 0;
  #waitingTaken: PromiseWithResolvers<void> | undefined = undefined;
  #working: Promise<void> | undefined = undefined;
  /** Bytes that blocks and dictionaries take outside of the slabs. */
  #outsideBytes = 0;
  #dictionaryBytes = 0;
  #probationBytes = 0;
  #mainBytes = 0;
  #chargedSlabs = 0;
  #sparingBytesLeft = 0;
  #sparingSlabsMax = 0;
  #entries = 0;
  #admitted = 0;
  #evicted = 0;
  #spared = 0;
  #refused = 0;

  constructor(budget: Budget) {
    this.budget = budget;
    const memoryBytes = Math.min(SLAB_MEMORY_BYTES_MAX, budget.limitBytes('blocks'));
    this.#slabs = new MemorySlabs(memoryBytes);
    this.#probation = new MemoryLog(this.#slabs);
    this.#main = new MemoryLog(this.#slabs);
    this.#ghosts = new MemoryGhosts(memoryBytes);
  }

  get stats(): MemoryTierStats {
    const classOf = (kind: BudgetClass) => ({
      usedBytes: this.budget.usedBytes(kind),
      limitBytes: this.budget.limitBytes(kind),
    });
    return {
      entries: this.#entries,
      bytes: this.#probationBytes + this.#mainBytes + this.#dictionaryBytes,
      admitted: this.#admitted,
      evicted: this.#evicted,
      spared: this.#spared,
      refused: this.#refused,
      classes: {
        metadata: classOf('metadata'),
        layouts: classOf('layouts'),
        keys: classOf('keys'),
        blocks: classOf('blocks'),
        rows: classOf('rows'),
        inFlight: classOf('inFlight'),
      },
    };
  }

  /** A number for an owner, good until it is released. */
  register(owner: BlockOwner): number {
    const id = this.#freeOwners.pop() ?? this.#owners.length;
    this.#owners[id] = { id, owner, residents: 0, isReleased: false };
    return id;
  }

  /** The owner admits nothing more; its blocks leave when their turn comes, read or not. */
  release(id: number): void {
    const state = this.#owners[id];
    if (state === undefined) return;
    state.isReleased = true;
    this.#forgetOwner(state);
  }

  /** Larger blocks stay in the memory they came in. */
  get slabBlockBytesMax(): number {
    return Math.min(SLAB_BLOCK_BYTES_MAX, this.#slabs.slabBytes / 8);
  }

  /** Whether one block or dictionary of so many bytes can be held at all. */
  canHold(bytes: number): boolean {
    return bytes <= this.#limitBytes * LARGEST_SHARE;
  }

  /**
   * Takes a block in, soon: before whoever waits for this turn's promises goes on, unless very much is admitted at once;
   * `settled` says when. Its bytes must not change until then. `tag` is given back when it is evicted.
   */
  admit(id: number, slot: number, tag: number, block: AdmittedBlock): void {
    const state = this.#owners[id];
    if (state === undefined || state.isReleased) return;
    this.#waiting.push({ state, slot, tag, block });
    this.#waitingBytes += block.byteLength;
    this.trim();
  }

  /**
   * Undefined where what waits is admitted before any promise goes on; else resolves when all that waits now was taken in.
   */
  admitting(): Promise<void> | undefined {
    if (this.#waitingBytes <= COPIED_A_TURN_BYTES) return undefined;
    this.#waitingTaken ??= Promise.withResolvers<void>();
    return this.#waitingTaken.promise;
  }

  /** Makes room, soon, when others need memory. */
  trim(): void {
    this.#working ??= Promise.resolve().then(() => this.#work());
  }

  /** Resolves when nothing waits to be admitted. */
  async settled(): Promise<void> {
    while (this.#working !== undefined) await this.#working;
  }

  /** Charges what lies beside the blocks, such as their dictionary. */
  hold(bytes: number): void {
    this.#dictionaryBytes += bytes;
    this.#changeOutside(bytes);
  }

  letGo(bytes: number): void {
    this.#dictionaryBytes -= bytes;
    this.#changeOutside(-bytes);
  }

  /** The views of the slab that the location is in. */
  viewsOf(location: number): BufferViews {
    return this.#slabs.viewsOf(location);
  }

  /** A word of the headers, so that they are at hand when the block is read. */
  loadAhead(location: number): number {
    return this.#slabs.viewsOf(location).int32s[this.#slabs.offsetOf(location) >>> 2]!;
  }

  /** The views of its slab, and counts a read; undefined where the owner holds the block itself. */
  read(location: number): BufferViews | undefined {
    const views = this.#slabs.viewsOf(location);
    const at = (this.#slabs.offsetOf(location) >>> 2) + STATE;
    const state = views.int32s[at]!;
    if ((state & READ) === 0) views.int32s[at] = state | READ;
    return (state & IS_OUTSIDE) === 0 ? views : undefined;
  }

  /** Where in those views the block begins. */
  blockAt(location: number): number {
    return this.#slabs.offsetOf(location) + ENTRY_HEADER_BYTES;
  }

  get #limitBytes(): number {
    return Math.max(0, this.budget.limitBytes('blocks') - this.#ghosts.byteLength);
  }

  /** Slabs that may be allocated. */
  get #slabsMax(): number {
    const slabs = Math.floor((this.#limitBytes - this.#outsideBytes) / this.#slabs.slabBytes);
    return this.#limitBytes < SLABS_MIN * this.#slabs.slabBytes ? 0 : slabs;
  }

  /** Slabs that may be taken; negative while there are more than may be. */
  get #ready(): number {
    return this.#slabsMax - this.#slabsInUse;
  }

  get #slabsInUse(): number {
    return this.#probation.slabs + this.#main.slabs;
  }

  async #work(): Promise<void> {
    try {
      for (;;) {
        await this.#takeAll();
        this.#beginSparing();
        while (this.#ready < 0 && this.#evictOldest() > 0);
        this.#giveBack();
        if (this.#waiting.length === 0) return;
      }
    } finally {
      this.#working = undefined;
    }
  }

  /** All that waits now, over several turns of the event loop where it is much. */
  async #takeAll(): Promise<void> {
    const waiting = this.#waiting;
    const taken = this.#waitingTaken;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#waitingTaken = undefined;
    let copied = 0;
    try {
      for (const admission of waiting) {
        if (copied > COPIED_A_TURN_BYTES) {
          await otherTurns();
          copied = 0;
        }
        copied += this.#take(admission);
      }
    } finally {
      taken?.resolve();
    }
  }

  /** The bytes that were copied. */
  #take({ state, slot, tag, block }: Admission): number {
    if (state.isReleased || state.owner.locationOf(slot) !== 0) return 0;
    const { views, byteOffset, byteLength } = block;
    const isOutside = byteLength > this.slabBlockBytesMax;
    const outside = isOutside ? views.buffer.byteLength : 0;
    const bytes = entryBytes(isOutside ? 0 : byteLength);
    const isKnown = this.#ghosts.recall(ghostHash(state.id, slot), this.#limitBytes);
    const log = isKnown ? this.#main : this.#probation;
    this.#changeOutside(outside);
    if (!this.canHold(Math.max(bytes, outside)) || !this.#makeRoom(log, bytes, bytes + outside)) {
      this.#changeOutside(-outside);
      this.#refused += 1;
      return 0;
    }
    const location = log.append(bytes);
    const target = this.#slabs.viewsOf(location);
    const at = this.#slabs.offsetOf(location);
    target.int32s.set([bytes, state.id, slot, isOutside ? IS_OUTSIDE : 0, outside, tag, 0, 0], at >>> 2);
    if (!isOutside) views.bytes.copy(target.bytes, at + ENTRY_HEADER_BYTES, byteOffset, byteOffset + byteLength);
    this.#weigh(log, bytes + outside);
    this.#entries += 1;
    this.#admitted += 1;
    state.residents += 1;
    state.owner.admitted(slot, location, block, isOutside);
    return isOutside ? 0 : byteLength;
  }

  /** Room for an entry at the head of the log; false where there is none to be had. `weight` has been charged already. */
  #makeRoom(log: MemoryLog, bytes: number, weight: number): boolean {
    let work = WORK_A_BYTE * weight;
    this.#beginSparing();
    const wanted = Math.min(READY_SLABS_MAX, Math.max(1, this.#slabsMax >>> 5));
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
    this.#chargeSlabs();
    return true;
  }

  /** Takes the oldest entry out of the log whose turn it is, or to the head of the main log; the bytes passed, or 0. */
  #evictOldest(): number {
    const isProbation = this.#probationBytes > PROBATION_SHARE * (this.#probationBytes + this.#mainBytes);
    const first = isProbation ? this.#probation : this.#main;
    const log = first.oldest() === 0 ? (isProbation ? this.#main : this.#probation) : first;
    const location = log.oldest();
    if (location === 0) return 0;
    const views = this.#slabs.viewsOf(location);
    const at = this.#slabs.offsetOf(location) >>> 2;
    const bytes = views.int32s[at]!;
    const weight = bytes + views.int32s[at + OUTSIDE]!;
    this.#weigh(log, -weight);
    const state = this.#owners[views.int32s[at + OWNER]!];
    assert(state !== undefined, 'a resident block has an owner');
    const isRead = (views.int32s[at + STATE]! & READ) !== 0;
    const mayStay = isRead && !state.isReleased && this.#sparingBytesLeft > 0;
    if (mayStay && this.#openFor(this.#main, bytes, this.#mayOpenToSpare())) {
      this.#spare(state, views, at, bytes, weight);
    } else this.#drop(log, state, views, at, weight);
    log.pass(bytes);
    return weight;
  }

  #spare({ owner }: OwnerState, views: BufferViews, at: number, bytes: number, weight: number): void {
    const location = this.#main.append(bytes);
    const target = this.#slabs.viewsOf(location);
    const to = this.#slabs.offsetOf(location) >>> 2;
    views.bytes.copy(target.bytes, 4 * to, 4 * at, 4 * at + bytes);
    target.int32s[to + STATE] = target.int32s[to + STATE]! & ~READ;
    this.#weigh(this.#main, weight);
    this.#sparingBytesLeft -= bytes;
    this.#spared += 1;
    owner.moved(target.int32s[to + SLOT]!, location, target.int32s[to + TAG]!);
  }

  #drop(log: MemoryLog, state: OwnerState, views: BufferViews, at: number, weight: number): void {
    const slot = views.int32s[at + SLOT]!;
    if (log === this.#probation) this.#ghosts.remember(ghostHash(state.id, slot), weight);
    this.#changeOutside(-views.int32s[at + OUTSIDE]!);
    this.#entries -= 1;
    this.#evicted += 1;
    state.residents -= 1;
    state.owner.evicted(slot, views.int32s[at + TAG]!);
    this.#forgetOwner(state);
  }

  #forgetOwner(state: OwnerState): void {
    if (!state.isReleased || state.residents > 0) return;
    this.#owners[state.id] = undefined;
    this.#freeOwners.push(state.id);
  }

  #giveBack(): void {
    while (this.#slabs.allocated > Math.max(0, this.#slabsMax) && this.#slabs.shrink());
    this.#chargeSlabs();
  }

  #weigh(log: MemoryLog, bytes: number): void {
    if (log === this.#probation) this.#probationBytes += bytes;
    else this.#mainBytes += bytes;
  }

  #changeOutside(bytes: number): void {
    this.#outsideBytes += bytes;
    if (bytes >= 0) this.budget.charge('blocks', bytes);
    else this.budget.release('blocks', -bytes);
  }

  #chargeSlabs(): void {
    const more = this.#slabs.allocated - this.#chargedSlabs;
    this.#chargedSlabs += more;
    if (more >= 0) this.budget.charge('blocks', more * this.#slabs.slabBytes);
    else this.budget.release('blocks', -more * this.#slabs.slabBytes);
  }
}

function entryBytes(blockBytes: number): number {
  return Math.ceil((ENTRY_HEADER_BYTES + blockBytes) / UNIT_BYTES) * UNIT_BYTES;
}

const otherTurns = () => new Promise<void>((resolve) => setImmediate(resolve));
