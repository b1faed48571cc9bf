/**
 * What was learned of one column chunk: where its pages lie and what they may hold, its bloom filter, and how far its pages ascend.
 *
 *     learned -- forgotten while a lookup holds it --> lent -- the lookup is done --> unknown
 *        ^------------- somebody asks again ------------'                              |
 *        '------------------------- read from the file or the disk -------------------'
 *
 * It is charged to the file that the chunk is of, and forgotten when its turn comes.
 */

import type { LearnedOwner } from '../cache/index.ts';
import type { BloomFilter, ColumnChunk, PageBounds, PageLocations } from '../parquet/index.ts';
import type { BlockAt } from './block-at.ts';
import { CHUNK_BYTES } from './file-chunks.ts';
import { ASCENT_BYTES, PageAscent } from './page-ascent.ts';

/** What is known of a chunk's pages: where they lie and, where a column index says so, what they may hold. */
export interface ChunkLayout {
  readonly locations: PageLocations;
  readonly bounds: PageBounds | undefined;
}

/** Its layout, and its bloom filter, `none` where that cannot be used. */
export interface Learned {
  readonly layout: ChunkLayout | undefined;
  readonly bloomFilter: BloomFilter | 'none' | undefined;
}

/** What a lookup holds of what was learned of chunks, for as long as it lives. */
export interface LearnedHolder {
  readonly learned: Map<LearnedChunk, Learned>;
}

/** The file of a chunk, which answers for the bytes of what it learns; the chunks that it is given are its own. */
export interface LearnedChunkOwner {
  addLayout(bytes: number): void;
  /** Whether so much is a small part of what may be learned. */
  fitsLayout(bytes: number): boolean;
  /** The chunk knows something again, and is kept for it. */
  keepChunk(chunk: LearnedChunk): void;
  /** The chunk knows nothing any more, and is kept for as long only as others have it. */
  fadeChunk(chunk: LearnedChunk): void;
  /** Whether no snapshot has the file any more. */
  readonly isReleased: boolean;
  /** What is on disk of the file; undefined where there is no disk tier. */
  readonly stored: { keepLayout(chunk: LearnedChunk, layout: ChunkLayout): void } | undefined;
  /** Where other threads search it too. */
  readonly told: { layout(chunk: LearnedChunk, layout: ChunkLayout | undefined): void } | undefined;
}

export abstract class LearnedChunk implements LearnedOwner {
  readonly chunk: ColumnChunk;
  readonly rowGroup: number;
  readonly #owner: LearnedChunkOwner;
  /** Other threads have a copy of a layout, one for all of them. */
  readonly #copies: number;
  #learned: Learned | undefined = undefined;
  /** By page, of those that searches have walked into. */
  #ascents: Map<number, PageAscent> | undefined = undefined;
  #isUsed = false;
  /** Whether its file keeps it; else it fades. */
  #isKept = true;
  /** Whether a lookup may hold what is known. */
  #isLent = false;
  /** What a lookup may still hold, though it was forgotten. */
  #lent: WeakRef<Learned> | undefined = undefined;

  constructor(chunk: ColumnChunk, rowGroup: number, owner: LearnedChunkOwner, isShared: boolean) {
    this.chunk = chunk;
    this.rowGroup = rowGroup;
    this.#owner = owner;
    this.#copies = isShared ? 2 : 1;
  }

  /** Undefined until it was loaded, and after it was forgotten: then it is loaded again. */
  get layout(): ChunkLayout | undefined {
    return this.known()?.layout;
  }

  /** Keeps where the pages lie, for as long as there is room for it and the file is served. */
  learn(layout: ChunkLayout): void {
    const known = this.known();
    if (known?.layout === undefined) this.#replace({ layout, bloomFilter: known?.bloomFilter });
  }

  /** Keeps what the pages may hold, where the layout came without it and there is room. */
  learnBounds(bounds: PageBounds): void {
    const known = this.known();
    if (known?.layout === undefined || known.layout.bounds !== undefined) return;
    if (this.#owner.fitsLayout(bounds.byteSize))
      this.#replace({ ...known, layout: { locations: known.layout.locations, bounds } });
  }

  get bloomFilter(): BloomFilter | 'none' | undefined {
    return this.known()?.bloomFilter ?? (this.chunk.bloomFilterRange === undefined ? 'none' : undefined);
  }

  learnBloomFilter(filter: BloomFilter | 'none'): void {
    const known = this.known();
    if (known?.bloomFilter !== undefined) return;
    // A filter only ever saves reading, so where there is no room for it there is none.
    const isKept = filter !== 'none' && this.#owner.fitsLayout(filter.byteSize);
    this.#replace({ layout: known?.layout, bloomFilter: isKept ? filter : 'none' });
  }

  /** What is known stays so for the lookup of these pins, whatever is forgotten meanwhile. */
  holdLearned({ learned }: LearnedHolder): void {
    const known = this.known();
    if (known === undefined) return;
    learned.set(this, known);
    this.#isLent = true;
  }

  takeUsed(): boolean {
    const isUsed = this.#isUsed;
    this.#isUsed = false;
    return isUsed;
  }

  /** The disk, where there is one, has it from then on, so that learning it again costs no request. */
  forget(): void {
    const { layout } = this.#learned ?? {};
    if (layout !== undefined) this.#owner.stored?.keepLayout(this, layout);
    this.#owner.addLayout(-this.#learnedBytes);
    this.#rememberLent();
    this.#learned = undefined;
    this.#ascents = undefined;
    this.#owner.told?.layout(this, undefined);
    if (this.#isKept) this.#owner.fadeChunk(this);
    this.#isKept = false;
  }

  /** What it has charged, and what its file has for it. */
  get chargedBytes(): number {
    return this.#isKept ? CHUNK_BYTES + this.#learnedBytes : 0;
  }

  /** What is known of the order of the page of a block, unless that block is its last. */
  ascentOver({ block, firstRow }: BlockAt): PageAscent | undefined {
    const locations = this.known()?.layout?.locations;
    if (locations === undefined) return undefined;
    const page = locations.pageOf(firstRow);
    const pageStart = locations.firstRow(page);
    const pageEnd = locations.rowEnd(page);
    if (firstRow + block.rows >= pageEnd) return undefined;
    this.#ascents ??= new Map();
    let ascent = this.#ascents.get(page);
    if (ascent === undefined && this.#learned !== undefined && !this.#owner.isReleased) {
      ascent = new PageAscent(pageStart);
      this.#ascents.set(page, ascent);
      this.#owner.addLayout(ASCENT_BYTES);
    }
    return ascent;
  }

  /** The ascent of a page, as far as searches have walked into it. */
  knownAscent(page: number): PageAscent | undefined {
    return this.#ascents?.get(page);
  }

  /** Counts as a use. */
  protected known(): Learned | undefined {
    this.#isUsed = true;
    if (this.#learned !== undefined) return this.#learned;
    const lent = this.#lent?.deref();
    if (lent !== undefined) this.#replace(lent);
    return lent;
  }

  /** What is about to be known no more, while whoever holds it has it. */
  #rememberLent(): void {
    if (this.#isLent && this.#learned !== undefined) this.#lent = new WeakRef(this.#learned);
    this.#isLent = false;
  }

  #replace(learned: Learned): void {
    const before = this.#bytesOf(this.#learned);
    this.#rememberLent();
    this.#learned = learned;
    if (this.#owner.isReleased) return;
    if (!this.#isKept) this.#owner.keepChunk(this);
    this.#isKept = true;
    this.#owner.addLayout(this.#bytesOf(learned) - before);
    this.#owner.told?.layout(this, learned.layout);
  }

  get #learnedBytes(): number {
    return this.#bytesOf(this.#learned) + ASCENT_BYTES * (this.#ascents?.size ?? 0);
  }

  #bytesOf(learned: Learned | undefined): number {
    const { layout, bloomFilter } = learned ?? {};
    const ofFilter = bloomFilter === undefined || bloomFilter === 'none' ? 0 : bloomFilter.byteSize;
    const ofLayout = (layout?.locations.byteSize ?? 0) + (layout?.bounds?.byteSize ?? 0);
    return this.#copies * ofLayout + ofFilter;
  }
}
