/**
 * The composition root: the one place that says `new` for what lives as long as the node.
 *
 *     stores -> tables -> loader (decode pool, memory tier) -> lookup engine -> server
 */

import { Budget, MemoryTier, RowCache } from './cache/index.ts';
import { type Clock, systemClock } from './core/index.ts';
import { DecodePool, LookupEngine, PageLoader } from './shard/index.ts';
import { coalescing, type S3Settings, type StoreProvider, Stores } from './storage/index.ts';
import { Catalog, Table, type TableDefinition, TableSource } from './table/index.ts';

/** Of the memory given to the node, what pages may take while they are fetched and decoded. */
const IN_FLIGHT_SHARE = 1 / 8;
/** What encoded rows of hot keys may take, up to a bound: more than that serves few keys more. */
const ROWS_SHARE = 1 / 8;
const ROWS_BYTES_MAX = 4 * 2 ** 30;

export interface NodeOptions {
  readonly s3: S3Settings;
  /** Bytes of memory for metadata, decoded blocks and pages on their way together. */
  readonly cacheMemoryBytes: number;
  readonly tables: readonly TableDefinition[];
  /** Whether page checksums, where a file has them, are compared; true by default. */
  readonly verifyCrc?: boolean;
  readonly clock?: Clock;
  /** Puts something between the tables and storage, such as a trace of requests. */
  readonly wrapStores?: (stores: StoreProvider) => StoreProvider;
}

export interface PointlakeNode {
  readonly catalog: Catalog;
  readonly engine: LookupEngine;
  readonly loader: PageLoader;
  readonly tier: MemoryTier;
  readonly rows: RowCache;
  readonly pool: DecodePool;
  /** Makes a table that is not in the catalog yet. */
  readonly makeTable: (definition: TableDefinition) => Table;
  close(): Promise<void>;
}

export function createNode(options: NodeOptions): PointlakeNode {
  const clock = options.clock ?? systemClock;
  const stores = new Stores({ s3: options.s3 });
  const provider = coalescing(options.wrapStores?.(stores) ?? stores);
  const rows = new RowCache(Math.min(ROWS_BYTES_MAX, options.cacheMemoryBytes * ROWS_SHARE));
  const inFlightBytes = options.cacheMemoryBytes * IN_FLIGHT_SHARE;
  const tier = new MemoryTier(new Budget(options.cacheMemoryBytes - inFlightBytes - rows.stats.capacityBytes));
  const pool = new DecodePool();
  const loader = new PageLoader(pool, {
    inFlightBytesMax: inFlightBytes,
    verifyCrc: options.verifyCrc ?? true,
  });
  const makeTable = (definition: TableDefinition) =>
    new Table(definition, new TableSource(definition.source, provider), tier, clock);
  return {
    catalog: new Catalog(options.tables.map(makeTable)),
    engine: new LookupEngine(loader, rows),
    loader,
    tier,
    rows,
    pool,
    makeTable,
    async close() {
      await pool.close();
      await stores.close();
    },
  };
}
