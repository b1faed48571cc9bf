/**
 * The composition root: the one place that says `new` for what lives as long as the node.
 *
 *     stores -> tables -> loader (decode pool, memory tier) -> lookup engine -> server
 */

import { Budget, DiskCache, MemoryTier, RowCache } from './cache/index.ts';
import { type Clock, systemClock } from './core/index.ts';
import {
  DecodePool,
  KeyIndexer,
  keysAtOnceIn,
  LookupEngine,
  PageLoader,
  Preloader,
  type QueryBounds,
  TableIndexing,
  warmReplaced,
} from './shard/index.ts';
import {
  type CoalesceOptions,
  type HedgePolicy,
  HeldObjects,
  parseSourceUri,
  type S3Settings,
  StorageAccount,
  type StoragePrices,
  type StoreProvider,
  Stores,
  tableStores,
} from './storage/index.ts';
import { Catalog, KeyMemory, StoredRuns, Table, type TableDefinition, TableSource } from './table/index.ts';
import { Publisher } from './workers/index.ts';

/** Of the memory given to the node, what pages may take while they are fetched and decoded. */
const IN_FLIGHT_SHARE = 1 / 8;
/** What encoded rows of hot keys may take by default, up to a bound: more than that serves few keys more. */
const ROWS_SHARE = 1 / 8;
const ROWS_BYTES_MAX = 4 * 2 ** 30;
/** Small files and chunks that were just read whole, for the reads that follow at once. */
const HELD_SHARE = 1 / 32;
const HELD_BYTES_MAX = 32 * 2 ** 20;

export interface NodeOptions {
  readonly s3: S3Settings;
  /** When a slow GET is asked a second time; false: never. */
  readonly hedge?: Partial<HedgePolicy> | false | undefined;
  /** When neighbouring ranges of a remote object become one GET. */
  readonly coalesce?: Partial<CoalesceOptions> | undefined;
  /** What the tables' requests are charged at; S3 Standard's by default. */
  readonly prices?: Partial<StoragePrices> | undefined;
  /** Bytes of memory for metadata, decoded blocks and pages on their way together. */
  readonly cacheMemoryBytes: number;
  /** Of these, for encoded rows of hot keys; 0: none are kept. An eighth by default. */
  readonly cacheRowsBytes?: number | undefined;
  readonly tables: readonly TableDefinition[];
  /** Whether page checksums, where a file has them, are compared; true by default. */
  readonly verifyCrc?: boolean;
  /** What finding a key may take of storage; whatever it takes by default. */
  readonly lookupBounds?: QueryBounds | undefined;
  readonly clock?: Clock;
  /** Where blocks, file metadata and snapshots outlive the process; nowhere by default. */
  readonly disk?: { readonly path: string; readonly sizeBytes: number } | undefined;
  /** For what an operator should know: one line each. */
  readonly log?: (line: string) => void;
  /** Event loops that answer, this one included; the others read what this one caches. One by default. */
  readonly loops?: number | undefined;
  /** Puts something between the tables and storage, such as a trace of requests. */
  readonly wrapStores?: (stores: StoreProvider) => StoreProvider;
}

/** What further event loops read from. */
export interface OtherLoops {
  readonly publisher: Publisher;
  /** Of the encoded rows that each of them keeps. */
  readonly rowsBytes: number;
  readonly slabBytes: number;
}

export interface PointlakeNode {
  readonly catalog: Catalog;
  readonly engine: LookupEngine;
  readonly loader: PageLoader;
  readonly tier: MemoryTier;
  readonly rows: RowCache;
  /** Undefined where this is the only event loop. */
  readonly others: OtherLoops | undefined;
  /** What all tables read from. */
  readonly stores: Stores;
  readonly pool: DecodePool;
  readonly preloader: Preloader;
  /** Undefined where none is configured or the folder cannot be used. */
  readonly disk: DiskCache | undefined;
  /** Has ready what the first lookups would wait for otherwise: a decode thread, and memory to read local files to. */
  readonly start: () => void;
  /** Removes from disk what no table needs any more; to be called once all tables were opened. */
  readonly sweepDisk: () => Promise<void>;
  /** Makes a table that is not in the catalog yet. */
  readonly makeTable: (definition: TableDefinition) => Table;
  /** Closes a table that is in the catalog no more. */
  readonly forgetTable: (table: Table) => void;
  /** The indexes of a table of this node: of its own key, then of the named ones. */
  readonly indexings: (table: Table) => readonly TableIndexing[];
  close(): Promise<void>;
}

export function createNode(options: NodeOptions): PointlakeNode {
  const clock = options.clock ?? systemClock;
  const stores = new Stores({ s3: options.s3, ...(options.hedge !== undefined && { hedge: options.hedge }) });
  const provider = options.wrapStores?.(stores) ?? stores;
  const { loops = 1 } = options;
  const rowsBytes = (options.cacheRowsBytes ?? Math.min(ROWS_BYTES_MAX, options.cacheMemoryBytes * ROWS_SHARE)) / loops;
  const rows = new RowCache(rowsBytes);
  const inFlightBytes = options.cacheMemoryBytes * IN_FLIGHT_SHARE;
  const heldBytes = Math.min(HELD_BYTES_MAX, options.cacheMemoryBytes * HELD_SHARE);
  const held = new HeldObjects(heldBytes, clock);
  const budget = new Budget(options.cacheMemoryBytes);
  budget.charge('inFlight', inFlightBytes + heldBytes);
  budget.charge('rows', loops * rows.stats.capacityBytes);
  const publisher = loops > 1 ? new Publisher() : undefined;
  const tier = new MemoryTier(budget, publisher);
  const disk = options.disk && openDisk(options.disk, clock, tier, options.log ?? (() => undefined));
  const diskPlace = disk && { cache: disk, endpoint: endpointOf(options.s3) };
  const tables: Table[] = [];
  const pool = new DecodePool();
  const loader = new PageLoader(pool, {
    inFlightBytesMax: inFlightBytes,
    verifyCrc: options.verifyCrc ?? true,
  });
  const keyMemory = new KeyMemory(tier);
  const indexer = new KeyIndexer(pool, {
    verifyCrc: options.verifyCrc ?? true,
    keysAtOnce: keysAtOnceIn(keyMemory.limitBytes),
  });
  const indexings = new Map<Table, readonly TableIndexing[]>();
  const makeTable = (definition: TableDefinition) => {
    const account = new StorageAccount(options.prices);
    const ownStores = tableStores(provider, { account, held, coalesce: options.coalesce });
    const source = new TableSource(definition.source, ownStores, account, definition);
    const place = [endpointOf(options.s3), source.place, definition.name];
    const keys = [{ columns: definition.key, index: definition.index }, ...definition.keys];
    const ofTable = keys.map(
      ({ columns, index: mode }, key) =>
        new TableIndexing(definition.name, {
          key,
          mode,
          indexer,
          memory: keyMemory,
          stored: disk && new StoredRuns(disk.indexes, keyMemory, [...place, ...columns]),
          log: options.log ?? (() => undefined),
          onChange: publisher && ((snapshot, of, runs) => publisher.indexed(snapshot, of, runs)),
        }),
    );
    const table: Table = new Table(definition, source, tier, clock, diskPlace, {
      prepare: async (next, before, signal) => {
        await preloader.prepare(table, next, signal);
        await warmReplaced(loader, next, before, signal);
      },
      publish: (snapshot) => {
        for (const indexing of ofTable) indexing.attach(snapshot);
        publisher?.publish(table, snapshot);
      },
      log: options.log,
    });
    tables.push(table);
    indexings.set(table, ofTable);
    return table;
  };
  const forgetTable = (table: Table) => {
    table.close();
    const at = tables.indexOf(table);
    if (at >= 0) tables.splice(at, 1);
    for (const indexing of indexings.get(table) ?? []) void indexing.close();
    indexings.delete(table);
  };
  const engine = new LookupEngine(loader, rows, { bounds: options.lookupBounds });
  const blockBytes = options.cacheMemoryBytes - inFlightBytes - heldBytes - loops * rows.stats.capacityBytes;
  const preloader = new Preloader({
    loader,
    clock,
    engine,
    tier,
    memoryRoom: () => blockBytes - tier.budget.usedBytes('metadata'),
    disk: disk?.blocks,
    log: options.log ?? (() => undefined),
  });
  const settled = () => Promise.all(tables.map((table) => table.disk?.settled()));
  const catalog = new Catalog(options.tables.map(makeTable));
  publisher?.watch(catalog, () => tier.slabs.shared());
  return {
    catalog,
    others: publisher && { publisher, rowsBytes, slabBytes: tier.slabs.slabBytes },
    engine,
    loader,
    tier,
    rows,
    stores,
    pool,
    preloader,
    makeTable,
    forgetTable,
    indexings: (table) => indexings.get(table) ?? [],
    disk,
    start() {
      pool.start();
      if (options.tables.some(({ source }) => parseSourceUri(source).scheme === 'file')) loader.prepare();
    },
    async sweepDisk() {
      await settled();
      const named = tables.flatMap((table) => [
        ...(table.disk?.named() ?? []),
        ...(indexings.get(table) ?? []).flatMap((indexing) => indexing.named()),
      ]);
      await disk?.sweep(new Set(named));
    },
    async close() {
      preloader.close();
      rows.close();
      await Promise.all([...indexings.values()].flat().map((indexing) => indexing.close()));
      await pool.close();
      await settled();
      await disk?.close();
      await stores.close();
    },
  };
}

function openDisk(
  { path, sizeBytes }: { readonly path: string; readonly sizeBytes: number },
  clock: Clock,
  tier: MemoryTier,
  log: (line: string) => void,
): DiskCache | undefined {
  const onMemory = (bytes: number) => {
    if (bytes >= 0) tier.budget.charge('metadata', bytes);
    else tier.budget.release('metadata', -bytes);
    tier.trim();
  };
  const isWorthMemory = () => tier.isWorthMore();
  return DiskCache.open({ path, sizeBytes, clock, log, onMemory, memoryBytes: tier.budget.totalBytes, isWorthMemory });
}

/** Buckets of two servers may have one name, and objects in them one key and ETag. */
function endpointOf({ endpoint }: S3Settings): string {
  return endpoint ?? process.env.AWS_ENDPOINT_URL_S3 ?? process.env.AWS_ENDPOINT_URL ?? '';
}
