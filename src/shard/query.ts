/**
 * Queries: what is asked, what bounds it, and what was done.
 *
 *     predicate -> files (folders) -> row groups (bounds, null counts, bloom filters) -> row ranges (page bounds)
 *               -> rows (dictionary codes, values) -> the pages of those rows' columns -> text
 *
 * Each step only narrows, and none reads what the one before has ruled out.
 */

import { ServiceError } from '../core/index.ts';
import type { KeyValue } from '../parquet/index.ts';
import type {
  ChunkBlocks,
  Need,
  Pins,
  Predicate,
  Snapshot,
  SnapshotReadableFile,
  StorageCost,
  TableColumn,
} from '../table/index.ts';
import { LookupTrace, STAGES, type Stage } from './lookup-trace.ts';
import type { ReceiptPrice } from './receipt.ts';

/** A row of a snapshot; `file` counts its files, `row` is counted within the row group. */
export interface QueryPlace {
  readonly file: SnapshotReadableFile;
  readonly fileOrdinal: number;
  readonly rowGroup: number;
  readonly row: number;
}

export interface OrderColumn {
  readonly column: TableColumn;
  readonly isDescending: boolean;
}

/** Where a page of rows ended: the row, and where rows are ordered its values. */
export interface QueryPosition {
  readonly fileOrdinal: number;
  /** Of the file. */
  readonly row: number;
  readonly values: readonly (KeyValue | undefined)[];
}

export interface Query {
  readonly where: Predicate | undefined;
  readonly columns: readonly TableColumn[];
  readonly limit: number;
  /** Empty: in the order of the snapshot. */
  readonly order: readonly OrderColumn[];
  readonly after: QueryPosition | undefined;
}

/** What a query, or finding a key, may ask of storage: by its plan, and of a query in truth too. */
export interface QueryBounds {
  readonly getsMax: number;
  readonly bytesMax: number;
}

/** A row as its taker made it, until it is its turn. */
export interface HeldRow {
  /** What it takes in memory, about. */
  readonly bytes: number;
  put(): void;
}

/** Takes rows one by one. */
export interface RowSink {
  /** False where a page of the row is not in memory, and nothing was taken. */
  take(place: QueryPlace, pins: Pins): boolean;
  /** The same for a row that is read before its turn; undefined where a page is not in memory. */
  hold(place: QueryPlace, pins: Pins): HeldRow | undefined;
  /** True where it is to be emptied before more is taken. */
  readonly isFull: boolean;
}

/** What was considered, ruled out and by what, and read. What only a receipt tells is counted only for one. */
export class QueryTrace extends LookupTrace {
  files = 0;
  filesByPartition = 0;
  filesByBounds = 0;
  rowGroups = 0;
  rowGroupsByBounds = 0;
  rowGroupsByBloom = 0;
  rowGroupsByPages = 0;
  /** Pages of the predicate's columns in the row groups that were not ruled out. */
  pages = 0;
  pagesByBounds = 0;
  rowsJudged = 0;
  rowsMatched = 0;
  override estimate: StorageCost = { gets: 0, bytes: 0 };
  readonly isExplained: boolean;
  readonly #isRestarted: boolean;
  readonly #startedMs: number;
  readonly #loaded = new ChunkPages();
  readonly #fromMemory = new ChunkPages();

  /** `isRestarted`: an object changed while the query was read before, of which this tells nothing but its wait for a turn. */
  constructor(isExplained = false, isRestarted = false, queuedMs = 0) {
    super();
    this.#startedMs = performance.now() - queuedMs;
    this.stages.queue = queuedMs;
    this.isExplained = isExplained;
    this.#isRestarted = isRestarted;
  }

  override timed<T>(stage: Stage, step: () => T): T {
    return this.isExplained ? super.timed(stage, step) : step();
  }

  override loading<T>(load: () => Promise<T>): Promise<T> {
    return this.isExplained ? super.loading(load) : load();
  }

  /** These are about to be loaded, from wherever they are. */
  asks(needs: readonly Need[]): void {
    if (!this.isExplained) return;
    for (const need of needs) if (need.kind === 'page') this.#loaded.add(need.chunk, need.page);
  }

  /** The value of the row in the chunk is looked at. */
  looksAt(chunk: ChunkBlocks, row: number): void {
    const page = chunk.layout?.locations.pageOf(row);
    if (page !== undefined && !this.#loaded.has(chunk, page)) this.#fromMemory.add(chunk, page);
  }

  /** How long each stage was, in milliseconds, as `server-timing` has it. */
  serverTiming(): string {
    const stages = STAGES.filter((stage) => this.stages[stage] > 0).map(
      (stage) => [stage, this.stages[stage]] as const,
    );
    const total = ['total', performance.now() - this.#startedMs] as const;
    return [...stages, total].map(([stage, ms]) => `${stage};dur=${ms.toFixed(3)}`).join(', ');
  }

  /** As JSON shows it. */
  toObject(snapshot: Snapshot, price: ReceiptPrice): object {
    const us = (ms: number) => Math.round(ms * 1000);
    return {
      snapshot: snapshot.id,
      ...(this.#isRestarted ? { restarted: true } : {}),
      files: { considered: this.files, by_partition: this.filesByPartition, by_bounds: this.filesByBounds },
      row_groups: {
        considered: this.rowGroups,
        by_bounds: this.rowGroupsByBounds,
        by_bloom: this.rowGroupsByBloom,
        by_page_bounds: this.rowGroupsByPages,
      },
      pages: { considered: this.pages, by_bounds: this.pagesByBounds, read: this.pagesRead },
      rows: { judged: this.rowsJudged, matched: this.rowsMatched },
      estimate: { gets: this.estimate.gets, bytes: this.estimate.bytes },
      blocks: { memory: this.#fromMemory.count, disk: this.pagesFromDisk, origin: this.pagesFromOrigin },
      storage: {
        reads: this.readsBegun,
        read_bytes: this.readBytes,
        requests: this.requests,
        bytes: this.receivedBytes,
        usd: price(this.gets, this.receivedBytes),
        shared: this.shared,
      },
      us: {
        ...Object.fromEntries(STAGES.map((stage) => [stage, us(this.stages[stage])])),
        total: us(performance.now() - this.#startedMs),
      },
    };
  }
}

/** Pages of chunks, each once. */
class ChunkPages {
  count = 0;
  readonly #pages = new Map<ChunkBlocks, Set<number>>();

  has(chunk: ChunkBlocks, page: number): boolean {
    return this.#pages.get(chunk)?.has(page) === true;
  }

  add(chunk: ChunkBlocks, page: number): void {
    const pages = this.#pages.get(chunk) ?? new Set();
    this.#pages.set(chunk, pages);
    if (pages.has(page)) return;
    pages.add(page);
    this.count += 1;
  }
}

export function tooExpensive(
  what: string,
  gets: number,
  bytes: number,
  { getsMax, bytesMax }: QueryBounds,
): ServiceError {
  const message =
    `the query ${what} ${gets} GETs of ${bytes} bytes, and ${getsMax} GETs of ${bytesMax} bytes are allowed; ` +
    'narrow it by a partition or by a column that the files are clustered by, or raise limits.gets and limits.bytes';
  const context = { gets, bytes, gets_max: getsMax, bytes_max: bytesMax };
  return new ServiceError('invalid', 'plan_too_expensive', message, context);
}
