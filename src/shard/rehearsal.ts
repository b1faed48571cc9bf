/**
 * What a cold lookup would ask of a far storage, told by going through one: the lookup's own code runs (search, reading
 * ahead, gathering of ranges, small objects whole) over a store that notes what it is asked for and has no bytes.
 *
 *     ColdRead --needs--> RehearsedPages --ranges--> small objects, gathering --rounds--> RehearsedStore
 *
 * Cold is a file of which only that is known which its opening brought. What a lookup learns then (where pages lie, bloom
 * filters) is really read, once, and each rehearsal is charged for it anew. Of pages only those of the key columns say
 * what comes next: they are really read as long as `KEY_PAGES_BYTES_MAX` lasts; after that a page without the row that
 * is looked up is taken to lack its key, which is so where no other row has it or a part of it.
 */

import { Budget, MemoryQuota, MemoryTier } from '../cache/index.ts';
import { asServiceError, assert, type ByteRange, rangeLength, type ServiceError } from '../core/index.ts';
import { type BloomFilter, valuelessBlock } from '../parquet/index.ts';
import { HeldObjects, type ObjectStore, parseSourceUri, StorageAccount, tableStores } from '../storage/index.ts';
import {
  type ChunkLayout,
  type Key,
  type KeyIndexView,
  type LoadedPage,
  type Need,
  type Pins,
  readBloomFilter,
  readLayout,
  Snapshot,
  type SnapshotFile,
  type SnapshotReadableFile,
  type TableColumn,
  TableFile,
  type TableKey,
} from '../table/index.ts';
import { ColdRead, type PageSource } from './cold-read.ts';
import { missingPages } from './encode-row.ts';
import { LookupTrace } from './lookup-trace.ts';
import type { FailedNeed, PageLoader } from './page-loader.ts';
import { NotingStore, type ReadLinks, RehearsedStore } from './rehearsed-store.ts';
import { pin } from './stored-needs.ts';

/** Decoded key pages that are read, and kept, to know what is in them. */
const KEY_PAGES_BYTES_MAX = 64 * 2 ** 20;
const BLOCKS_BYTES = 64 * 2 ** 20;
/** As a node of 256 MiB holds of small objects and of chunks; a larger one holds more. */
const HELD_BYTES = 8 * 2 ** 20;
/** Of a page that is one block, however many rows it has. */
const WHOLE_SHIFT = 30;

type PageNeed = Need & { readonly kind: 'page' };

/** A row and its key. */
export interface SampledRow {
  /** In the snapshot. */
  readonly file: number;
  readonly rowGroup: number;
  readonly row: number;
  readonly key: Key;
}

export interface ColdCost {
  /** GETs that wait for each other. */
  readonly roundTrips: number;
  readonly gets: number;
  readonly bytes: number;
}

/** What was really read for the cold files to learn, and how. */
interface Learned {
  readonly links: ReadLinks;
  readonly layout?: ChunkLayout;
  readonly bloomFilter?: BloomFilter | 'none';
}

export class Rehearsals {
  readonly #loader: PageLoader;
  readonly #served: Snapshot;
  readonly #by: TableKey;
  readonly #tier: MemoryTier;
  readonly #quota = new MemoryQuota();
  /** By file of the snapshot: the layouts that its opening brought. */
  readonly #opened: readonly ReadonlyMap<number, ChunkLayout>[];
  /** Whose files are only read by rehearsals; those that one has touched are put back to how they were opened. */
  readonly #cold: Snapshot;
  readonly #ordinals = new Map<TableFile, number>();
  readonly #learned = new Map<string, Promise<Learned>>();
  readonly #keyPages = new Map<string, Promise<LoadedPage>>();
  #keyPagesBytesLeft = KEY_PAGES_BYTES_MAX;

  /** To be made before anything else is read of the snapshot: what is known of its files now is what is known cold. */
  constructor(loader: PageLoader, snapshot: Snapshot, by: TableKey) {
    this.#loader = loader;
    this.#served = snapshot;
    this.#by = by;
    const readable = snapshot.files.filter((file) => file.kind === 'readable');
    const metadataBytes = readable.reduce((sum, { file }) => sum + file.metadataBytes, 0);
    // Footers may take half of it, and each is there twice.
    this.#tier = new MemoryTier(new Budget(BLOCKS_BYTES + 8 * metadataBytes));
    this.#opened = snapshot.files.map((file) => (file.kind === 'readable' ? file.file.layouts() : new Map()));
    const files = snapshot.files.map((file, at) => (file.kind === 'readable' ? this.#coldFile(file, at) : file));
    this.#cold = new Snapshot(snapshot.definition, files, snapshot.createdAtMs);
  }

  /** From here on lookups have an index of their key, of the same files in the same order. */
  goBy(index: KeyIndexView): void {
    const by = this.#cold.keys[this.#by.ordinal];
    assert(by !== undefined && index.coveredFiles <= this.#cold.files.length, 'the index is of this snapshot');
    by.index = index;
  }

  /** What a lookup of the row's key that answers these columns costs; undefined where it would fail. */
  async lookup(row: SampledRow, columns: readonly TableColumn[], signal: AbortSignal): Promise<ColdCost | undefined> {
    const store = new RehearsedStore();
    const pages = new RehearsedPages(store, {
      learn: (need) => this.#learn(need, signal),
      content: (need) => this.#contentOf(need, row, signal),
    });
    const read = new ColdRead(pages, signal, new LookupTrace());
    const by = this.#cold.keys[this.#by.ordinal];
    assert(by !== undefined, 'the cold snapshot has the same keys');
    const asked = columns.map(({ name }) => this.#cold.column(name));
    try {
      const place = await read.chosen(this.#cold, by, row.key, asked);
      if (place === null) return undefined;
      const missing = () => missingPages(place, asked, read.pins);
      await read.until(() => (missing().length === 0 ? true : undefined), missing);
    } catch (thrown) {
      signal.throwIfAborted();
      if (['corrupt', 'unsupported', 'unavailable'].includes(asServiceError(thrown).kind)) return undefined;
      throw thrown;
    } finally {
      this.#putBack(pages.touched);
    }
    const gets = store.rounds.flat();
    const bytes = gets.reduce((sum, range) => sum + rangeLength(range), 0);
    return { roundTrips: store.rounds.length, gets: gets.length, bytes };
  }

  /** The file as its opening left it. */
  #coldFile({ file }: SnapshotReadableFile, ordinal: number): TableFile {
    const cold = this.#copyOf(file, FAR);
    const leaves = file.index.schema.leaves.length;
    for (const [at, layout] of this.#opened[ordinal] ?? []) {
      cold.chunk(Math.trunc(at / leaves), at % leaves).learn(layout);
    }
    this.#ordinals.set(cold, ordinal);
    return cold;
  }

  #copyOf(file: TableFile, store: ObjectStore): TableFile {
    const keys = file.index.schema.leaves.filter((leaf) => file.isKey(leaf)).map(({ name }) => name);
    return new TableFile(store, file.object, file.index, keys, this.#tier, this.#quota);
  }

  #putBack(touched: ReadonlySet<TableFile>): void {
    const files = this.#cold.files as SnapshotFile[];
    for (const file of touched) {
      const ordinal = this.#ordinals.get(file) ?? -1;
      const served = this.#served.files[ordinal];
      const before = files[ordinal];
      if (served?.kind !== 'readable' || before?.kind !== 'readable') continue;
      this.#ordinals.delete(file);
      file.release();
      files[ordinal] = { ...before, file: this.#coldFile(served, ordinal) };
    }
  }

  #servedFile(file: TableFile): SnapshotReadableFile {
    const served = this.#served.files[this.#ordinals.get(file) ?? -1];
    assert(served?.kind === 'readable', 'a rehearsal needs something of a file that can be read');
    return served;
  }

  #learn(need: Need, signal: AbortSignal): Promise<Learned> {
    const { file } = this.#servedFile(need.file);
    const { rowGroup, chunk } = need.chunk;
    const id = `${need.kind} ${file.number} ${rowGroup} ${chunk.leaf.ordinal}`;
    const known = this.#learned.get(id);
    if (known !== undefined) return known;
    const read = async (): Promise<Learned> => {
      const store = new NotingStore(file.store);
      const reader = this.#copyOf(file, store);
      try {
        if (need.kind === 'bloomFilter') {
          return { links: store.links, bloomFilter: await readBloomFilter(reader, chunk, { signal }) };
        }
        const layout = await readLayout(reader, chunk, { signal });
        file.chunk(rowGroup, chunk.leaf.ordinal).learn(layout);
        return { links: store.links, layout };
      } finally {
        reader.release();
      }
    };
    const learned = read();
    this.#learned.set(id, learned);
    return learned;
  }

  /** A page of a key column as it is; of another, or where that would be too much, one in which nothing is found. */
  async #contentOf({ file, chunk, page }: PageNeed, sampled: SampledRow, signal: AbortSignal): Promise<LoadedPage> {
    const locations = chunk.layout?.locations;
    assert(locations !== undefined, 'a page is needed once its layout is known');
    const firstRow = locations.firstRow(page);
    const rowEnd = locations.rowEnd(page);
    const { file: served, mapping } = this.#servedFile(file);
    const { ordinal } = chunk.chunk.leaf;
    if (this.#by.in(mapping).positions?.includes(ordinal) === true) {
      const isSampled =
        this.#ordinals.get(file) === sampled.file && chunk.rowGroup === sampled.rowGroup && firstRow <= sampled.row;
      const isNeeded = isSampled && sampled.row < rowEnd;
      if (isNeeded || this.#keyPagesBytesLeft > 0) {
        const id = `${served.number} ${chunk.rowGroup} ${ordinal} ${page}`;
        const known = this.#keyPages.get(id);
        if (known !== undefined) return known;
        const loading = this.#loader.page(served, served.chunk(chunk.rowGroup, ordinal), page, signal);
        this.#keyPages.set(id, loading);
        const loaded = await loading;
        this.#keyPagesBytesLeft -= loaded.blocks.reduce((sum, block) => sum + (block?.byteLength ?? 0), 0);
        return loaded;
      }
    }
    const rows = rowEnd - firstRow;
    return { firstRow, rows, shift: WHOLE_SHIFT, blocks: [valuelessBlock(rows)] };
  }
}

/** What a rehearsed lookup needs to go on, and what that is charged. */
interface Props {
  learn(need: Need): Promise<Learned>;
  content(need: PageNeed): Promise<LoadedPage>;
}

/** Meets needs as the page loader does, but for the bytes. */
class RehearsedPages implements PageSource {
  readonly touched = new Set<TableFile>();
  readonly #stage: RehearsedStore;
  readonly #store: ObjectStore;
  readonly #props: Props;

  constructor(stage: RehearsedStore, props: Props) {
    this.#stage = stage;
    this.#props = props;
    const dressed = { account: new StorageAccount(), held: new HeldObjects(HELD_BYTES) };
    this.#store = tableStores({ storeFor: () => stage }, dressed).storeFor(parseSourceUri('s3://rehearsed/'));
  }

  async load(needs: readonly Need[], pins: Pins, signal: AbortSignal): Promise<readonly FailedNeed[]> {
    const outcomes = await Promise.all(needs.map((need) => this.#meet(need, pins, signal)));
    return outcomes.filter((outcome) => outcome !== undefined);
  }

  async #meet(need: Need, pins: Pins, signal: AbortSignal): Promise<FailedNeed | undefined> {
    this.touched.add(need.file);
    try {
      if (need.kind === 'page') await this.#page(need, pins, signal);
      else await this.#learn(need, signal);
      return undefined;
    } catch (thrown) {
      signal.throwIfAborted();
      const error: ServiceError = asServiceError(thrown);
      if (error.kind === 'corrupt' || error.kind === 'unsupported') return { need, error };
      throw error;
    }
  }

  async #learn(need: Need, signal: AbortSignal): Promise<void> {
    const { links, layout, bloomFilter } = await this.#stage.meanwhile(this.#props.learn(need));
    for (const link of links) await Promise.all(link.map(({ range, keep }) => this.#get(need, range, signal, keep)));
    if (layout !== undefined) need.chunk.learn(layout);
    if (bloomFilter !== undefined) need.chunk.learnBloomFilter(bloomFilter);
  }

  async #page(need: PageNeed, pins: Pins, signal: AbortSignal): Promise<void> {
    const { chunk, page } = need;
    const locations = chunk.layout?.locations;
    assert(locations !== undefined, 'a page is needed once its layout is known');
    const loaded = await this.#stage.meanwhile(this.#props.content(need));
    const dictionary = chunk.dictionary === undefined ? locations.dictionaryRange : undefined;
    const ranges = [...(dictionary === undefined ? [] : [dictionary]), locations.range(page)];
    await Promise.all(ranges.map((range) => this.#get(need, range, signal)));
    pin(pins, need, loaded);
    await chunk.admit(page, loaded);
    if (dictionary !== undefined) chunk.dictionary ??= valuelessBlock(0);
  }

  #get({ file }: Need, range: ByteRange, signal: AbortSignal, keep = false): Promise<Uint8Array> {
    return this.#store.getRange(file.object, range, { signal, keep });
  }
}

/** Of cold files: they are read by nobody, and far. */
const FAR: ObjectStore = new RehearsedStore();
