/**
 * Brings what a lookup needs into memory: layouts (where the pages of a chunk lie) and pages (as decoded blocks).
 *
 * Each layout, dictionary and page is one flight however many lookups want it. The ranges that one turn of the event
 * loop asks for go to the store together, where neighbours become one GET. Nothing here decides what is needed; that
 * is the search's and the projection's business.
 */

import { ByteGate, SingleFlight } from '../cache/index.ts';
import { asServiceError, assert, type ByteRange, rangeLength, ServiceError } from '../core/index.ts';
import { Block, type PageLocations } from '../parquet/index.ts';
import type { ChunkBlocks, ChunkLayout, LoadedPage, Need, Pins, TableFile } from '../table/index.ts';
import { readBloomFilter, readLayout, snapshotChanging } from '../table/index.ts';
import type { DecodePool } from './decode-pool.ts';
import { inContext, placeOf } from './file-place.ts';
import type { LookupTrace } from './lookup-trace.ts';
import { PageReader, type PageReaderOptions, pageContext } from './page-reader.ts';
import { meetStored, pagesIn, pin } from './stored-needs.ts';

export interface PageLoaderOptions extends PageReaderOptions {
  /** Pages being fetched and decoded, compressed and decoded bytes together. */
  readonly inFlightBytesMax: number;
}

const PAGE_LOADER_DEFAULTS: PageLoaderOptions = {
  blockBytes: 32 * 1024,
  pageBytesMax: 256 * 2 ** 20,
  verifyCrc: true,
  inFlightBytesMax: 512 * 2 ** 20,
};

/**
 * A page of which so many blocks are in memory is read whole when another is wanted: by then the next ones will be, and
 * to decode it costs about what reading blocks apart cost so far. Where reads are dear a page is read once, and so whole.
 */
const BLOCKS_APART_MAX = 4;

/** A page of fewer blocks is never decoded by the block; with its compressed bytes it takes little more than these. */
const BLOCKS_OF_LARGE_PAGE = 8;

/** The flight of a block of a page, beside that of the whole page. */
const apart = (page: number) => -1 - page;

/** A need that could not be met, and why. */
export interface FailedNeed {
  readonly need: Need;
  readonly error: ServiceError;
}

export class PageLoader {
  readonly #pool: DecodePool;
  readonly #options: PageLoaderOptions;
  readonly #reader: PageReader;
  readonly #inFlight: ByteGate;
  readonly #layouts = new SingleFlight<ChunkBlocks, ChunkLayout>();
  readonly #bloomFilters = new SingleFlight<ChunkBlocks, void>();
  readonly #dictionaries = new SingleFlight<ChunkBlocks, Block>();
  /** By chunk, since page numbers repeat; a chunk's flights are dropped with the chunk. */
  readonly #pages = new WeakMap<ChunkBlocks, SingleFlight<number, LoadedPage>>();

  constructor(pool: DecodePool, options: Partial<PageLoaderOptions> = {}) {
    this.#pool = pool;
    this.#options = { ...PAGE_LOADER_DEFAULTS, ...options };
    this.#reader = new PageReader(pool, this.#options);
    this.#inFlight = new ByteGate(this.#options.inFlightBytesMax);
  }

  /** Has the memory ready that local files are read to. */
  prepare(): void {
    this.#reader.prepare();
  }

  /** What is being fetched and decoded, and how much of it may be. */
  get inFlight(): { readonly usedBytes: number; readonly capacityBytes: number } {
    return this.#inFlight;
  }

  /**
   * Meets all needs together and holds the pages in `pins`. Faults of the file itself come back as values, since a
   * search can go on without that page; anything else (storage, deadline, a changed object) is thrown. The reads that it
   * begins stand in `trace`.
   */
  async load(
    needs: readonly Need[],
    pins: Pins,
    signal: AbortSignal,
    trace?: LookupTrace,
  ): Promise<readonly FailedNeed[]> {
    const left = await meetStored(needs, pins);
    if (trace !== undefined) {
      trace.pagesFromDisk += pagesIn(needs) - pagesIn(left);
      trace.pagesFromOrigin += pagesIn(left);
    }
    const outcomes = await Promise.all(largestFirst(left).map((need) => this.#meet(need, pins, signal, trace)));
    return outcomes.filter((outcome) => outcome !== undefined);
  }

  /** One page, whole, from storage; a fault of the file comes back as a value. */
  async whole(
    need: Need & { readonly kind: 'page' },
    signal: AbortSignal,
    trace?: LookupTrace,
  ): Promise<LoadedPage | FailedNeed> {
    try {
      return await this.page(need.file, need.chunk, need.page, signal, trace);
    } catch (thrown) {
      const fault = faultOf(need, thrown, signal);
      assert(fault !== undefined, 'a page that cannot be read is a loss');
      return fault;
    }
  }

  async #meet(
    need: Need,
    pins: Pins,
    signal: AbortSignal,
    trace: LookupTrace | undefined,
  ): Promise<FailedNeed | undefined> {
    try {
      const { file, chunk } = need;
      if (need.kind === 'page') pin(pins, need, await this.#pageFor(need, signal, trace));
      else if (need.kind === 'layout') await this.layout(file, chunk, signal, trace);
      else await this.#bloomFilter(file, chunk, signal, trace);
      chunk.holdLearned(pins);
      return undefined;
    } catch (thrown) {
      return faultOf(need, thrown, signal);
    }
  }

  /** What it gives is whole, even where the chunk forgets it before the caller goes on. */
  async layout(file: TableFile, chunk: ChunkBlocks, signal: AbortSignal, trace?: LookupTrace): Promise<ChunkLayout> {
    if (chunk.layout !== undefined) return chunk.layout;
    const read = async (flight: AbortSignal) => {
      const options = { signal: flight, account: trace };
      const layout = await inContext(placeOf(file, chunk), () => readLayout(file, chunk.chunk, options));
      chunk.learn(layout);
      file.stored?.keepLayout(chunk, layout);
      return layout;
    };
    return inFlight(this.#layouts, chunk, read, signal, trace);
  }

  async #bloomFilter(
    file: TableFile,
    chunk: ChunkBlocks,
    signal: AbortSignal,
    trace: LookupTrace | undefined,
  ): Promise<void> {
    const read = async (flight: AbortSignal) => {
      const filter = await readBloomFilter(file, chunk.chunk, { signal: flight, account: trace });
      chunk.learnBloomFilter(filter);
      file.stored?.keepBloomFilter(chunk, filter);
    };
    await inFlight(this.#bloomFilters, chunk, read, signal, trace);
  }

  /** The page, or its block of the one row that is wanted. */
  async #pageFor(
    need: Need & { readonly kind: 'page' },
    signal: AbortSignal,
    trace: LookupTrace | undefined,
  ): Promise<LoadedPage> {
    const { file, chunk, page, row } = need;
    const flights = this.#flightsOf(chunk);
    // Of what decodes as quickly whole there is one flight for all.
    const isLarge = pageMemory(chunk, page) > BLOCKS_OF_LARGE_PAGE * this.#options.blockBytes;
    const mayBeApart = need.only === 'row' && isLarge && file.store.cheapReads && !flights.has(page);
    const isWhole = !mayBeApart || chunk.residentBlocks(page) >= BLOCKS_APART_MAX;
    if (isWhole || row === undefined) return this.page(file, chunk, page, signal, trace);
    const read = (flight: AbortSignal) => this.#loadPage(file, chunk, page, flight, trace, row);
    const loaded = await inFlight(flights, apart(page), read, signal, trace);
    const hasRow = loaded.blocks[(row - loaded.firstRow) >>> loaded.shift] !== undefined;
    return hasRow ? loaded : this.page(file, chunk, page, signal, trace);
  }

  page(
    file: TableFile,
    chunk: ChunkBlocks,
    page: number,
    signal: AbortSignal,
    trace?: LookupTrace,
  ): Promise<LoadedPage> {
    const read = (flight: AbortSignal) => this.#loadPage(file, chunk, page, flight, trace);
    return inFlight(this.#flightsOf(chunk), page, read, signal, trace);
  }

  #flightsOf(chunk: ChunkBlocks): SingleFlight<number, LoadedPage> {
    let flights = this.#pages.get(chunk);
    if (flights === undefined) {
      flights = new SingleFlight();
      this.#pages.set(chunk, flights);
    }
    return flights;
  }

  async #loadPage(
    file: TableFile,
    chunk: ChunkBlocks,
    page: number,
    signal: AbortSignal,
    trace: LookupTrace | undefined,
    row?: number,
  ): Promise<LoadedPage> {
    const { locations } = await this.layout(file, chunk, signal, trace);
    const asked = { file, chunk, locations, page, row: row === undefined ? undefined : row - locations.firstRow(page) };
    return this.#inFlight.run(
      pageMemory(chunk, page),
      signal,
      () => this.#reader.read(asked, () => this.#dictionary(file, chunk, locations, signal, trace), signal, trace),
      file.store,
    );
  }

  async #dictionary(
    file: TableFile,
    chunk: ChunkBlocks,
    locations: PageLocations,
    signal: AbortSignal,
    trace: LookupTrace | undefined,
  ): Promise<Block | undefined> {
    const range = locations.dictionaryRange;
    if (range === undefined || chunk.dictionary !== undefined) return chunk.dictionary;
    const read = (flight: AbortSignal) => this.#loadDictionary(file, chunk, locations, range, flight, trace);
    return inFlight(this.#dictionaries, chunk, read, signal, trace);
  }

  async #loadDictionary(
    file: TableFile,
    chunk: ChunkBlocks,
    locations: PageLocations,
    range: ByteRange,
    signal: AbortSignal,
    trace: LookupTrace | undefined,
  ): Promise<Block> {
    const page = await file.store.getRange(file.object, range, { signal, account: trace });
    trace?.pageCame();
    return inContext({ ...placeOf(file, chunk), page: 'dictionary' }, async () => {
      const context = pageContext(this.#options, chunk, locations, undefined, undefined);
      const { blocks } = await this.#pool.decode({ kind: 'dictionary', page, context }, signal);
      const [buffer] = blocks;
      if (buffer === undefined) throw new ServiceError('internal', 'internal', 'a dictionary decoded to no block');
      return Block.open(buffer);
    });
  }
}

/** What is the file's fault; undefined where that is no loss. Throws whatever is not. */
function faultOf(need: Need, thrown: unknown, signal: AbortSignal): FailedNeed | undefined {
  signal.throwIfAborted();
  const error = asServiceError(thrown);
  if (error.kind === 'corrupt' || error.kind === 'unsupported') return { need, error };
  if (error.kind === 'changed' && need.file.isGone) return goneNeed(need, error);
  throw error;
}

/** Begins the key's flight, or joins it and says so in the trace. */
function inFlight<K, V>(
  flights: SingleFlight<K, V>,
  key: K,
  read: (signal: AbortSignal) => Promise<V>,
  signal: AbortSignal,
  trace: LookupTrace | undefined,
): Promise<V> {
  if (trace !== undefined && flights.isOthers(key, trace)) trace.shares();
  return flights.run(key, read, signal, trace);
}

/** Of a file that is kept though storage has it no more. A filter only ever saves reading, so that it is no loss. */
function goneNeed(need: Need, error: ServiceError): FailedNeed | undefined {
  if (need.kind !== 'bloomFilter') return { need, error: snapshotChanging(need.file.object.key, error) };
  need.chunk.learnBloomFilter('none');
  return undefined;
}

/** What a page will take while it is loaded: its bytes, and its share of what the chunk says it has when decompressed. */
export function pageMemory({ chunk, layout }: ChunkBlocks, page: number): number {
  const range = layout?.locations.range(page) ?? chunk.range;
  const compressed = rangeLength(range);
  const share = compressed / Math.max(1, rangeLength(chunk.range));
  return compressed + Math.max(compressed, Math.ceil(share * chunk.uncompressedBytes));
}

/** Where reads do not wait for each other but for the disk: what takes a thread longest shall come first. */
function largestFirst(needs: readonly Need[]): readonly Need[] {
  const bytes = (need: Need) => (need.kind === 'page' ? pageMemory(need.chunk, need.page) : 0);
  return needs[0]?.file.store.cheapReads === true ? needs.toSorted((a, b) => bytes(b) - bytes(a)) : needs;
}
