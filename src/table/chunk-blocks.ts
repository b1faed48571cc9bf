/**
 * Where the decoded blocks of one column chunk lie in memory.
 *
 *     row --(PageLocations)--> page --(row - firstRow) >> shift--> BlockEntry --> Block
 *
 * The way from a row to its block is two array reads and no string key. Blocks come and go with the memory tier;
 * a lookup that has to wait for some holds them itself in `Pins`, so that a budget smaller than one row's pages still
 * answers.
 */

import { CacheEntry, type MemoryTier, WHOLE_PAGE_SHIFT } from '../cache/index.ts';
import type { Block, BloomFilter, ColumnChunk, PageBounds, PageLocations } from '../parquet/index.ts';

/** The blocks of one page as the decoder returned them, or those of them that were found on disk. */
export interface LoadedPage {
  readonly firstRow: number;
  readonly rows: number;
  /** Each block holds 2^shift rows, the last one fewer. */
  readonly shift: number;
  readonly blocks: readonly (Block | undefined)[];
}

/** Pages that a waiting lookup holds for itself, whatever the memory tier evicts. */
export type Pins = Map<ChunkBlocks, Map<number, LoadedPage>>;

/** One resident block; `firstRow` is the row, within the row group, of its value 0. */
export class BlockEntry extends CacheEntry {
  readonly block: Block;
  readonly firstRow: number;
  readonly #chunk: ChunkBlocks;
  readonly #page: ResidentPage;
  readonly #ordinal: number;

  constructor(block: Block, firstRow: number, chunk: ChunkBlocks, page: ResidentPage, ordinal: number) {
    super(block.byteLength);
    this.block = block;
    this.firstRow = firstRow;
    this.#chunk = chunk;
    this.#page = page;
    this.#ordinal = ordinal;
  }

  override onEvicted(): void {
    this.#page.entries[this.#ordinal] = undefined;
    this.#chunk.forgetEntry(this);
  }

  override onSpared(): void {
    this.#chunk.keepOnDisk(this.block, this.#page.firstRow, this.#page.shift, this.#ordinal);
  }
}

interface ResidentPage {
  readonly firstRow: number;
  /** As in `LoadedPage`; 31 where one block is the whole page. */
  readonly shift: number;
  readonly entries: (BlockEntry | undefined)[];
}

/** A block and the row of its first value: what every reader of values takes. */
export interface BlockAt {
  readonly block: Block;
  readonly firstRow: number;
}

/** What is known of a chunk's pages: where they lie and, where a column index says so, what they may hold. */
export interface ChunkLayout {
  readonly locations: PageLocations;
  readonly bounds: PageBounds | undefined;
}

/** Who answers for the bytes of metadata that cannot be evicted. */
export interface MetadataOwner {
  addMetadata(bytes: number): void;
  /** What is on disk of the file; undefined where there is no disk tier. */
  readonly stored: BlockKeeper | undefined;
}

/** Who takes blocks that should outlive memory. */
interface BlockKeeper {
  keepBlock(chunk: ChunkBlocks, page: number, ordinal: number, shift: number, block: Block, wantedAgain: boolean): void;
  keepDictionary(chunk: ChunkBlocks, dictionary: Block, wantedAgain: boolean): void;
}

export class ChunkBlocks {
  readonly chunk: ColumnChunk;
  readonly rowGroup: number;
  /** The decoded dictionary, kept while any code block of this chunk is resident. */
  dictionary: Block | undefined = undefined;
  /** Undefined until it was read; `none` where it cannot be used. */
  #bloomFilter: BloomFilter | 'none' | undefined = undefined;
  readonly #pages: (ResidentPage | undefined)[] = [];
  readonly #file: MetadataOwner;
  readonly #tier: MemoryTier;
  #layout: ChunkLayout | undefined = undefined;
  #codeBlocks = 0;

  constructor(chunk: ColumnChunk, rowGroup: number, file: MetadataOwner, tier: MemoryTier) {
    this.chunk = chunk;
    this.rowGroup = rowGroup;
    this.#file = file;
    this.#tier = tier;
  }

  /** Undefined until it was loaded. */
  get layout(): ChunkLayout | undefined {
    return this.#layout;
  }

  /** Keeps where the pages lie, for as long as the file is served. */
  learn(layout: ChunkLayout): void {
    if (this.#layout !== undefined) return;
    this.#layout = layout;
    this.#file.addMetadata(layout.locations.byteSize + (layout.bounds?.byteSize ?? 0));
  }

  get bloomFilter(): BloomFilter | 'none' | undefined {
    return this.#bloomFilter ?? (this.chunk.bloomFilterRange === undefined ? 'none' : undefined);
  }

  learnBloomFilter(filter: BloomFilter | 'none'): void {
    if (this.#bloomFilter !== undefined) return;
    this.#bloomFilter = filter;
    if (filter !== 'none') this.#file.addMetadata(filter.byteSize);
  }

  /** The block that holds the row, if it is in memory or pinned. Synchronous; allocates only for pins. */
  at(row: number, pins: Pins | undefined): BlockAt | undefined {
    if (this.#layout === undefined) return undefined;
    const page = this.#layout.locations.pageOf(row);
    const resident = this.#pages[page];
    if (resident !== undefined) {
      const entry = resident.entries[(row - resident.firstRow) >>> resident.shift];
      if (entry !== undefined) {
        entry.visited = true;
        return entry;
      }
    }
    return pins === undefined ? undefined : pinnedAt(pins.get(this)?.get(page), row);
  }

  /** Whether every block of the page is resident. */
  isResident(page: number): boolean {
    const entries = this.#pages[page]?.entries;
    return entries?.every((entry) => entry !== undefined) ?? false;
  }

  /**
   * Takes the blocks of a page in. Those that are resident already stay as they are, and so does a page that is resident
   * in blocks of another length.
   */
  admit(page: number, { firstRow, rows, shift, blocks }: LoadedPage): void {
    const isWhole = rows <= 2 ** shift;
    const residentShift = isWhole ? WHOLE_PAGE_SHIFT : shift;
    let resident = this.#pages[page];
    if (resident === undefined) {
      const count = isWhole ? Math.min(1, rows) : Math.ceil(rows / 2 ** shift);
      resident = { firstRow, shift: residentShift, entries: new Array(count).fill(undefined) };
      this.#pages[page] = resident;
    }
    if (resident.shift !== residentShift) return;
    for (let ordinal = 0; ordinal < blocks.length; ordinal++) {
      const block = blocks[ordinal];
      if (block === undefined || resident.entries[ordinal] !== undefined) continue;
      const entry = new BlockEntry(block, firstRow + ordinal * 2 ** shift, this, resident, ordinal);
      resident.entries[ordinal] = entry;
      if (block.kind === 'CODES') this.#keepDictionary(block);
      this.#tier.admit(entry);
    }
  }

  /** Offers a block that memory has proved to be wanted to the disk tier. */
  keepOnDisk(block: Block, firstRow: number, shift: number, ordinal: number): void {
    const { stored } = this.#file;
    if (stored === undefined || this.#layout === undefined) return;
    stored.keepBlock(this, this.#layout.locations.pageOf(firstRow), ordinal, shift, block, true);
    if (block.dictionary !== undefined) stored.keepDictionary(this, block.dictionary, true);
  }

  forgetEntry(entry: BlockEntry): void {
    if (entry.block.kind !== 'CODES') return;
    this.#codeBlocks -= 1;
    if (this.#codeBlocks > 0 || this.dictionary === undefined) return;
    this.#tier.budget.release('blocks', this.dictionary.byteLength);
    this.dictionary = undefined;
  }

  #keepDictionary(block: Block): void {
    this.#codeBlocks += 1;
    if (this.dictionary === undefined && block.dictionary !== undefined) {
      this.dictionary = block.dictionary;
      this.#tier.budget.charge('blocks', block.dictionary.byteLength);
    }
    block.dictionary = this.dictionary;
  }
}

function pinnedAt(page: LoadedPage | undefined, row: number): BlockAt | undefined {
  if (page === undefined) return undefined;
  const ordinal = (row - page.firstRow) >>> page.shift;
  const block = page.blocks[ordinal];
  return block && { block, firstRow: page.firstRow + ordinal * 2 ** page.shift };
}
