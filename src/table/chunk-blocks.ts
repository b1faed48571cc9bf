/**
 * The decoded blocks of one column chunk that are in memory.
 *
 *     row --(PageLocations)--> page --(row - firstRow) >> shift--> place --(BlockPlaces)--> location --(MemoryTier)--> Block
 *
 * Blocks come and go with the memory tier; a lookup that has to wait for some holds them itself in `Pins`, so that a
 * budget smaller than one row's pages still answers. A block that is not pinned may be used until the next `await` only.
 */

import {
  type AdmittedBlock,
  type BlockMemory,
  type BlockOwner,
  type MemoryQuota,
  NOTE_WORD,
  WHOLE_PAGE_SHIFT,
} from '../cache/index.ts';
import { assert, BufferViews } from '../core/index.ts';
import { Block, type ColumnChunk, type PageLocations, traitsOf } from '../parquet/index.ts';
import type { BlockAt } from './block-at.ts';
import type { BlockPlace, BlockPlaces } from './block-places.ts';
import {
  type ChunkLayout,
  type Learned,
  LearnedChunk,
  type LearnedChunkOwner,
  type LearnedHolder,
} from './learned-chunk.ts';

/** The blocks of one page as the decoder returned them, or those of them that were found on disk. */
export interface LoadedPage {
  readonly firstRow: number;
  readonly rows: number;
  /** Each block holds 2^shift rows, the last one fewer. */
  readonly shift: number;
  readonly blocks: readonly (Block | undefined)[];
}

/** Pages by chunk and number that a waiting lookup holds for itself, whatever the memory tier evicts. */
export class Pins extends Map<ChunkBlocks, Map<number, LoadedPage>> implements LearnedHolder {
  readonly learned: Map<LearnedChunk, Learned> = new Map();
}

/** The file of a chunk. */
export interface ChunkOwner extends LearnedChunkOwner {
  /** Of all chunks of the row group; undefined before `openPlaces`. */
  placesOf(rowGroup: number): BlockPlaces | undefined;
  openPlaces(rowGroup: number): BlockPlaces;
  /** The first block of the row group came to memory, or the last one left. */
  placesChanged(rowGroup: number): void;
  /** What blocks of the table may take in memory. */
  readonly quota: MemoryQuota;
  readonly stored: BlockKeeper | undefined;
  readonly told: ToldOfChunk | undefined;
}

/** Told of what changes in a chunk. */
interface ToldOfChunk {
  layout(chunk: ChunkBlocks, layout: ChunkLayout | undefined): void;
  places(rowGroup: number): void;
  dictionary(chunk: ChunkBlocks, dictionary: Block | undefined): void;
}

/** Who takes blocks that should outlive memory. */
interface BlockKeeper {
  hasBlock(chunk: ChunkBlocks, page: number, ordinal: number, shift: number): boolean;
  keepBlock(chunk: ChunkBlocks, page: number, ordinal: number, shift: number, block: Block, wantedAgain: boolean): void;
  keepDictionary(chunk: ChunkBlocks, dictionary: Block, wantedAgain: boolean): void;
  keepLayout(chunk: ChunkBlocks, layout: ChunkLayout): void;
}

/** What the memory tier gives back with a block: its page, and in the lowest bit whether it is of codes. */
const tagOf = (page: number, block: Block) => 2 * page + (block.kind === 'CODES' ? 1 : 0);
const pageOfTag = (tag: number) => tag >>> 1;
const isOfCodes = (tag: number) => (tag & 1) === 1;
/** Overwritten by whoever looks for a place. */
const found: BlockPlace = { slot: 0, location: 0, shift: 0 };
/** The number of an owner that the memory tier does not know yet. */
const UNREGISTERED = -1;

export class ChunkBlocks extends LearnedChunk implements BlockOwner {
  /** The decoded dictionary, kept while any code block of this chunk is resident. */
  dictionary: Block | undefined = undefined;
  readonly #file: ChunkOwner;
  readonly #tier: BlockMemory;
  /** The dictionary that was let go with the last code block. */
  #letGo: WeakRef<Block> | undefined = undefined;
  #codeBlocks = 0;
  #ownerId = UNREGISTERED;
  /** Resident blocks that are too large for a slab, by slot. */
  #outside: Map<number, Block> | undefined = undefined;

  constructor(chunk: ColumnChunk, rowGroup: number, file: ChunkOwner, tier: BlockMemory) {
    super(chunk, rowGroup, file, tier.isShared);
    this.#file = file;
    this.#tier = tier;
  }

  /**
   * The block that holds the row, if it is pinned or in memory. What is pinned comes first: that a lookup reads what it
   * has just loaded does not make a block wanted.
   */
  at(row: number, pins: Pins | undefined): BlockAt | undefined {
    const locations = this.known()?.layout?.locations;
    if (locations === undefined) return undefined;
    const page = locations.pageOf(row);
    const pinned = pins === undefined ? undefined : pinnedAt(pins.get(this)?.get(page), row);
    if (pinned !== undefined) return pinned;
    const rowInPage = row - locations.firstRow(page);
    const places = this.#places;
    if (places === undefined) return undefined;
    places.find(this.#column, page, rowInPage, found);
    const { location, slot, shift } = found;
    if (location === 0 || !this.#tier.has(location)) return undefined;
    const block = this.blockAt(location, slot);
    // The dictionary of another thread may still be on its way here.
    if (block.dictionary === undefined && block.isOfCodes) return undefined;
    return { block, firstRow: row - rowWithin(rowInPage, shift) };
  }

  /**
   * Where the block is that holds a row of a page, and its traits; 0 where it is not resident or not known to ascend. Counts
   * as a read.
   */
  ascendingAt(page: number, rowInPage: number, place: BlockPlace): number {
    const places = this.#places;
    if (places === undefined) return 0;
    places.find(this.#column, page, rowInPage, place);
    const { location, slot } = place;
    if (location === 0) return 0;
    if (!places.isAscending(slot)) {
      if (!this.#tier.has(location) || this.blockAt(location, slot).order !== 'ascending') return 0;
      places.noteAscending(slot);
    }
    places.markRead(slot);
    return places.traitsOf(slot);
  }

  /** The same for a scan, which goes on to the next rows over waits: the block is pinned, and what lies before is let go. */
  hold(row: number, pins: Pins): BlockAt | undefined {
    const at = this.at(row, pins);
    const locations = this.known()?.layout?.locations;
    if (at === undefined || locations === undefined) return undefined;
    const page = locations.pageOf(row);
    if (pinnedAt(pins.get(this)?.get(page), row) !== undefined) return at;
    const firstRow = locations.firstRow(page);
    const shift = this.#places?.shiftOf(this.#column, page) ?? WHOLE_PAGE_SHIFT;
    const block = at.block.copy();
    const blocks: Block[] = [];
    blocks[(row - firstRow) >>> shift] = block;
    pins.set(this, new Map([[page, { firstRow, rows: locations.rowEnd(page) - firstRow, shift, blocks }]]));
    return { block, firstRow: at.firstRow };
  }

  /** The block at a location of this chunk's; counts as a read. */
  blockAt(location: number, slot: number): Block {
    this.#places?.markRead(slot);
    const views = this.#tier.read(location);
    return views === undefined ? this.#outsideAt(slot) : this.#inSlab(views, location);
  }

  /** How many blocks of the page are resident. */
  residentBlocks(page: number): number {
    const locations = this.known()?.layout?.locations;
    const places = this.#places;
    if (locations === undefined || places === undefined || this.#slotOf(page, 0) === 0) return 0;
    const rows = locations.rowEnd(page) - locations.firstRow(page);
    const step = 2 ** places.shiftOf(this.#column, page);
    let blocks = 0;
    for (let row = 0; row < rows; row += step) if (this.locationOf(this.#slotOf(page, row)) !== 0) blocks += 1;
    return blocks;
  }

  /** Whether every block of the page is resident. */
  isResident(page: number): boolean {
    const locations = this.known()?.layout?.locations;
    if (locations === undefined || this.#places === undefined) return false;
    const rows = locations.rowEnd(page) - locations.firstRow(page);
    const step = 2 ** this.#places.shiftOf(this.#column, page);
    for (let row = 0; row < rows; row += step) if (this.locationOf(this.#slotOf(page, row)) === 0) return false;
    return true;
  }

  /**
   * Offers the blocks of a page to the memory tier. Those that are resident already stay as they are, and so does a page
   * that is resident in blocks of another length. A promise where that takes several turns of the event loop: until then
   * the page is not found here.
   */
  admit(
    page: number,
    { rows, shift, blocks }: LoadedPage,
    locations: PageLocations | undefined = this.layout?.locations,
  ): Promise<void> | undefined {
    if (locations === undefined || this.#file.isReleased || rows === 0) return undefined;
    const isWhole = rows <= 2 ** shift;
    const places = this.#file.openPlaces(this.rowGroup);
    const { byteSize: before, words } = places;
    if (this.#ownerId === UNREGISTERED) {
      this.#ownerId = this.#tier.register(this, this.#file.quota);
      places.owners += 1;
    }
    const first = places.open(this.#column, locations, page, isWhole ? WHOLE_PAGE_SHIFT : shift);
    if (places.byteSize !== before) this.#file.addLayout(places.byteSize - before);
    if (places.words !== words) this.#file.told?.places(this.rowGroup);
    if (first === 0) return undefined;
    for (let ordinal = 0; ordinal < blocks.length; ordinal++) {
      const block = blocks[ordinal];
      if (block === undefined || places.locationAt(first + ordinal) !== 0) continue;
      if (block.dictionary !== undefined && !this.#tier.canHold(block.dictionary.byteLength, this.#file.quota))
        continue;
      this.#tier.admit(this.#ownerId, first + ordinal, tagOf(page, block), block);
    }
    return this.#tier.admitting();
  }

  /**
   * The dictionary, also one that was let go and not collected yet. Where code blocks of a chunk come and go, reading it anew for each
   * would leave as many of them to a collection of all of the heap.
   */
  get dictionaryAtHand(): Block | undefined {
    return this.dictionary ?? this.#letGo?.deref();
  }

  /** The file is served no more: its blocks leave memory when their turn comes. */
  release(): void {
    this.#tier.learned.remove(this);
    this.losePlaces();
  }

  /** Its slots hold nothing from now on; what waits to be admitted there is not. */
  losePlaces(): void {
    if (this.#ownerId !== UNREGISTERED) this.#tier.release(this.#ownerId);
    this.#ownerId = UNREGISTERED;
  }

  locationOf(slot: number): number {
    return slot === 0 ? 0 : (this.#places?.locationAt(slot) ?? 0);
  }

  admitted(slot: number, location: number, block: AdmittedBlock, isOutside: boolean): void {
    assert(block instanceof Block, 'what a chunk admits are blocks');
    this.#put(slot, location, isOutside ? 0 : traitsOf(block));
    if (block.kind === 'CODES') this.#keepDictionary(block);
    if (!isOutside) return;
    this.#outside ??= new Map();
    this.#outside.set(slot, block);
  }

  moved(slot: number, location: number, tag: number, wasRead: boolean): void {
    this.#places?.put(slot, location);
    if (wasRead) this.#keepOnDisk(slot, location, pageOfTag(tag));
  }

  evicted(slot: number, tag: number): void {
    this.#put(slot, 0);
    this.#outside?.delete(slot);
    if (!isOfCodes(tag)) return;
    this.#codeBlocks -= 1;
    if (this.#codeBlocks > 0 || this.dictionary === undefined) return;
    this.#tier.letGo(this.dictionary.byteLength, this.#file.quota);
    this.#letGo = new WeakRef(this.dictionary);
    this.dictionary = undefined;
    this.#file.told?.dictionary(this, undefined);
  }

  takeRead(slot: number): boolean {
    return this.#places?.takeRead(slot) ?? false;
  }

  #put(slot: number, location: number, traits?: number): void {
    const places = this.#places;
    if (places === undefined) return;
    const { residents, byteSize } = places;
    if (traits === undefined) places.put(slot, location);
    else places.putNew(slot, location, traits);
    if (residents > 0 && places.residents > 0) return;
    this.#file.addLayout(places.byteSize - byteSize);
    this.#file.placesChanged(this.rowGroup);
  }

  get #places(): BlockPlaces | undefined {
    return this.#file.placesOf(this.rowGroup);
  }

  get #column(): number {
    return this.chunk.leaf.ordinal;
  }

  #slotOf(page: number, rowInPage: number): number {
    return this.#places?.slotOf(this.#column, page, rowInPage) ?? 0;
  }

  #inSlab(views: BufferViews, location: number): Block {
    const at = this.#tier.slabs.blockAt(location);
    const block = new Block(views, at, (at >>> 2) + NOTE_WORD);
    block.dictionary = this.dictionary;
    return block;
  }

  #outsideAt(slot: number): Block {
    const block = this.#outside?.get(slot);
    assert(block !== undefined, 'a block outside of the slabs is held by its chunk');
    return block;
  }

  /** A block that was read again before its turn to leave came is one that the disk tier should have. */
  #keepOnDisk(slot: number, location: number, page: number): void {
    const { stored } = this.#file;
    const places = this.#places;
    if (stored === undefined || places === undefined) return;
    const ordinal = places.ordinalOf(this.#column, page, slot);
    const shift = places.shiftOf(this.#column, page);
    if (!stored.hasBlock(this, page, ordinal, shift)) {
      const block = this.#outside?.get(slot) ?? this.#inSlab(this.#tier.slabs.viewsOf(location), location).copy();
      stored.keepBlock(this, page, ordinal, shift, block, true);
    }
    if (this.dictionary !== undefined) stored.keepDictionary(this, this.dictionary, true);
  }

  #keepDictionary(block: Block): void {
    this.#codeBlocks += 1;
    if (this.dictionary === undefined && block.dictionary !== undefined) {
      this.dictionary = this.#tier.isShared ? inSharedMemory(block.dictionary) : block.dictionary;
      this.#tier.hold(block.dictionary.byteLength, this.#file.quota);
      this.#file.told?.dictionary(this, this.dictionary);
    }
  }
}

/** The block itself where it is already alone in such memory. */
function inSharedMemory(block: Block): Block {
  const { buffer, byteOffset, byteLength } = block;
  if (buffer instanceof SharedArrayBuffer && buffer.byteLength === byteLength) return block;
  const bytes = new Uint8Array(new SharedArrayBuffer(byteLength));
  bytes.set(new Uint8Array(buffer, byteOffset, byteLength));
  return new Block(new BufferViews(bytes.buffer), 0);
}

/** The row counted from the first of its block. */
function rowWithin(rowInPage: number, shift: number): number {
  return rowInPage & (shift === WHOLE_PAGE_SHIFT ? 0x7fff_ffff : 2 ** shift - 1);
}

function pinnedAt(page: LoadedPage | undefined, row: number): BlockAt | undefined {
  if (page === undefined) return undefined;
  const ordinal = (row - page.firstRow) >>> page.shift;
  const block = page.blocks[ordinal];
  return block && { block, firstRow: page.firstRow + ordinal * 2 ** page.shift };
}
