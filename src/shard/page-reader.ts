/**
 * Reads one page from storage and has it decoded: whole, or for one row of a large page as much as likely has the block
 * of that row.
 */

import { rangeLength } from '../core/index.ts';
import {
  Block,
  type DecodedPage,
  decodePageHeader,
  type PageContext,
  type PageLocations,
  prefixBytes,
  type UnreadPage,
} from '../parquet/index.ts';
import type { ChunkBlocks, LoadedPage, TableFile } from '../table/index.ts';
import type { DecodePool } from './decode-pool.ts';
import { inContext, placeOf } from './file-place.ts';
import type { LookupTrace } from './lookup-trace.ts';
import { ReadMemory } from './read-memory.ts';

/** Memory for less is not mapped anew each time. */
const LEASED_BYTES_MIN = 128 * 1024;

export interface PageReaderOptions {
  /** Target size of a decoded block. */
  readonly blockBytes: number;
  /** A page that says it is larger than this when decompressed is refused. */
  readonly pageBytesMax: number;
  readonly verifyCrc: boolean;
}

export interface AskedPage {
  readonly file: TableFile;
  readonly chunk: ChunkBlocks;
  readonly locations: PageLocations;
  readonly page: number;
  /** The one row that is wanted, counted from the page's first. */
  readonly row: number | undefined;
}

interface ReadPage {
  readonly decoded: DecodedPage;
  readonly dictionary: Block | undefined;
}

export class PageReader {
  readonly #pool: DecodePool;
  readonly #options: PageReaderOptions;
  readonly #memory = new ReadMemory();
  /** Files whose pages have CRCs, which hold for whole pages; and chunks of which what a page began with did not do. */
  readonly #readWholeOnly = new WeakSet<TableFile | ChunkBlocks>();

  constructor(pool: DecodePool, options: PageReaderOptions) {
    this.#pool = pool;
    this.#options = options;
  }

  /** Has the memory ready that local files are read to. */
  prepare(): void {
    this.#memory.prepare();
  }

  /** Reads and decodes the page, or its block of the one row that is asked for, and offers it to memory. */
  async read(
    asked: AskedPage,
    dictionaryOf: () => Promise<Block | undefined>,
    signal: AbortSignal,
    trace: LookupTrace | undefined,
  ): Promise<LoadedPage> {
    const { file, chunk, locations, page } = asked;
    const firstRow = locations.firstRow(page);
    const { decoded, dictionary } =
      (await this.#ofPrefix(asked, signal, trace)) ?? (await this.#ofWhole(asked, dictionaryOf, signal, trace));
    const blocks: Block[] = [];
    for (const [i, buffer] of decoded.blocks.entries()) {
      const block = Block.open(buffer);
      if (block.kind === 'CODES') block.dictionary = dictionary;
      blocks[(decoded.firstBlock ?? 0) + i] = block;
    }
    const loaded: LoadedPage = { firstRow, rows: decoded.rows, shift: decoded.shift, blocks };
    const admitting = chunk.admit(page, loaded, locations);
    // A large page is admitted over several turns; whoever asks meanwhile joins this flight.
    if (admitting !== undefined) await admitting;
    file.stored?.keepPage(chunk, page, loaded);
    return loaded;
  }

  /** The block of the one row that is asked for, of as much of the page as likely has it; undefined where that does not do. */
  async #ofPrefix(
    { row, ...rest }: AskedPage,
    signal: AbortSignal,
    trace: LookupTrace | undefined,
  ): Promise<ReadPage | undefined> {
    const { file, chunk, locations, page } = rest;
    if (row === undefined || this.#readWholeOnly.has(file) || this.#readWholeOnly.has(chunk)) return undefined;
    const unread = unreadPage(chunk, locations, page);
    const bytes = prefixBytes(row, unread, this.#options.blockBytes);
    if (bytes === undefined) return undefined;
    return this.#intoLease(bytes, (into) => this.#decodedPrefix({ ...rest, row }, unread, bytes, into, signal, trace));
  }

  /** Reads to memory that is used again, where there is room for so much; what is decoded of it is not in it. */
  async #intoLease<T>(bytes: number, read: (into: Uint8Array | undefined) => Promise<T>): Promise<T> {
    const lease = this.#memory.lease(bytes);
    try {
      const decoded = await read(lease?.bytes);
      lease?.giveBack();
      return decoded;
    } catch (thrown) {
      // A read or a thread that is not waited for any longer goes on all the same.
      lease?.abandon();
      throw thrown;
    }
  }

  async #decodedPrefix(
    { file, chunk, locations, page, row }: AskedPage & { readonly row: number },
    unread: UnreadPage,
    bytes: number,
    into: Uint8Array | undefined,
    signal: AbortSignal,
    trace: LookupTrace | undefined,
  ): Promise<ReadPage | undefined> {
    const { start } = locations.range(page);
    const range = { start, end: start + bytes };
    const prefix = await file.store.getRange(file.object, range, { signal, account: trace, into });
    trace?.bytesCame();
    const pause = trace?.beforeDecode();
    if (pause !== undefined) await pause;
    const context = pageContext(this.#options, chunk, locations, undefined, unread.rows);
    const task = { kind: 'prefix', page: prefix, pageBytes: unread.bytes, context, row } as const;
    const decoded = await inContext(placeOf(file, chunk, page), () => this.#pool.decodePrefix(task, signal));
    if (decoded === undefined) {
      this.#readWholeOnly.add(chunk);
      return undefined;
    }
    if (trace !== undefined) trace.pagesRead += 1;
    return { decoded, dictionary: undefined };
  }

  async #ofWhole(
    asked: AskedPage,
    dictionaryOf: () => Promise<Block | undefined>,
    signal: AbortSignal,
    trace: LookupTrace | undefined,
  ): Promise<ReadPage> {
    const { file, locations, page, row } = asked;
    const bytes = rangeLength(locations.range(page));
    const read = (into: Uint8Array | undefined) => this.#decodedWhole(asked, dictionaryOf, into, signal, trace);
    // What is smaller, or has a dictionary before it, is better read by the GET of its neighbours.
    const isApart = row !== undefined && locations.dictionaryRange === undefined && bytes >= LEASED_BYTES_MIN;
    return file.store.cheapReads && isApart ? this.#intoLease(bytes, read) : read(undefined);
  }

  async #decodedWhole(
    { file, chunk, locations, page, row }: AskedPage,
    dictionaryOf: () => Promise<Block | undefined>,
    into: Uint8Array | undefined,
    signal: AbortSignal,
    trace: LookupTrace | undefined,
  ): Promise<ReadPage> {
    const [dictionary, bytes] = await Promise.all([
      dictionaryOf(),
      file.store.getRange(file.object, locations.range(page), { signal, account: trace, into }),
    ]);
    trace?.pageCame();
    const pause = trace?.beforeDecode();
    if (pause !== undefined) await pause;
    const context = pageContext(
      this.#options,
      chunk,
      locations,
      dictionary,
      locations.rowEnd(page) - locations.firstRow(page),
    );
    return inContext(placeOf(file, chunk, page), async () => {
      if (file.store.cheapReads && context.verifyCrc && hasCrc(bytes)) this.#readWholeOnly.add(file);
      return { decoded: await this.#pool.decode({ kind: 'data', page: bytes, context, row }, signal), dictionary };
    });
  }
}

export function pageContext(
  { blockBytes, pageBytesMax, verifyCrc }: PageReaderOptions,
  chunk: ChunkBlocks,
  locations: PageLocations,
  dictionary: Block | undefined,
  expectedRows: number | undefined,
): PageContext {
  return {
    leaf: chunk.chunk.leaf,
    codec: chunk.chunk.codec,
    dictionaryRows: dictionary?.rows,
    dictionary: dictionary && isOneUnit(chunk, locations) ? bytesOf(dictionary) : undefined,
    expectedRows,
    verifyCrc,
    blockBytes,
    maxPageBytes: pageBytesMax,
  };
}

function unreadPage({ chunk }: ChunkBlocks, locations: PageLocations, page: number): UnreadPage {
  const bytes = rangeLength(locations.range(page));
  return {
    leaf: chunk.leaf,
    codec: chunk.codec,
    hasDictionary: locations.dictionaryRange !== undefined,
    rows: locations.rowEnd(page) - locations.firstRow(page),
    bytes,
    uncompressedBytes: (bytes / Math.max(1, rangeLength(chunk.range))) * chunk.uncompressedBytes,
  };
}

function hasCrc(page: Uint8Array): boolean {
  const header = decodePageHeader(page, 0);
  return header !== 'needs_more' && header.crc !== undefined;
}

/** Whether the chunk's data pages are decoded together, so that their encodings may differ. */
function isOneUnit({ chunk }: ChunkBlocks, { pages }: PageLocations): boolean {
  return chunk.leaf.maxRepetitionLevel > 0 && pages === 1;
}

/** A copy, since a thread would be sent the whole memory that a view is of. */
function bytesOf({ buffer, byteOffset, byteLength }: Block): Uint8Array {
  return Uint8Array.from(new Uint8Array(buffer, byteOffset, byteLength));
}
