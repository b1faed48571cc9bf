/** What every route works with. */

import type { Clock, DurationHistogram } from '../core/index.ts';
import type { LookupEngine, PageLoader, Preloader, QueryEngine, TableIndexing } from '../shard/index.ts';
import type { Catalog, Table } from '../table/index.ts';
import type { Encoders } from './encoders.ts';
import type { LargeReplies } from './large-replies.ts';
import type { Loops, RowsState } from './loops.ts';
import type { RequestMetrics } from './metrics-requests.ts';

export interface ServerOptions {
  /** Milliseconds that a request may take when it does not say less itself. */
  readonly deadlineMs: number;
  /** Bytes of a request body. */
  readonly bodyBytesMax: number;
  /** Keys of one lookup. */
  readonly keysMax: number;
  /** Rows that one lookup may ask for, keys times limit. */
  readonly rowsMax: number;
  /** Characters of one lookup's answer. */
  readonly answerCharactersMax: number;
  /** Bytes of one value that a row may show. */
  readonly valueInRowBytes: number;
  /** Bytes of one value on its own. */
  readonly valueBytesMax: number;
  /** Bytes of large values being sent at once; more are told to come back. */
  readonly largeReplyBytesMax: number;
  /** Milliseconds that a client may take for one slice of a large value. */
  readonly stallMs: number;
  /** Lookups by body under way at once; more are told to come back. */
  readonly lookupsMax: number;
  /** GETs, and bytes of them, that a query may take. */
  readonly queryGetsMax: number;
  readonly queryBytesMax: number;
  /** Queries that run at once; four times as many may wait. */
  readonly queriesMax: number;
  /** Milliseconds for a request's headers and body to arrive. */
  readonly requestTimeoutMs: number;
  /** Milliseconds that requests under way have left when the server closes. */
  readonly graceMs: number;
}

export const SERVER_DEFAULTS: ServerOptions = {
  deadlineMs: 30_000,
  bodyBytesMax: 2 ** 20,
  keysMax: 1000,
  rowsMax: 100_000,
  answerCharactersMax: 256 * 2 ** 20,
  valueInRowBytes: 2 ** 20,
  valueBytesMax: 32 * 2 ** 20,
  largeReplyBytesMax: 128 * 2 ** 20,
  stallMs: 10_000,
  lookupsMax: 64,
  queryGetsMax: 6_400,
  queryBytesMax: 6_400 * 2 ** 20,
  queriesMax: 4,
  requestTimeoutMs: 60_000,
  graceMs: 8_000,
};

export type MemoryClass = 'metadata' | 'keys' | 'blocks' | 'rows' | 'inFlight' | 'replies';

/** What the node's memory holds; the memory tier of the cache room has this shape. */
export interface MemoryState {
  readonly stats: { readonly entries: number; readonly admitted: number; readonly evicted: number };
  readonly budget: { readonly totalBytes: number; usedBytes(kind: MemoryClass): number };
  readonly learned: { readonly evicted: number };
  /** Charges so many bytes more, or fewer, of answers on their way. */
  replying(bytes: number): void;
}

/** What the node's disk holds. */
export interface DiskState {
  readonly pace: {
    /** Has work done in a turn of the event loop in which the disk may be read: now, or after all who came before. */
    inTurn(work: () => void): void;
    readonly waiting: number;
  };
  readonly state: {
    readonly budgetBytes: number;
    readonly bytes: number;
    readonly blocks: number;
    readonly hits: number;
    readonly reads: number;
    readonly aside: number;
    readonly sectors: number;
    readonly bytesRead: number;
    readonly written: number;
    readonly evicted: number;
    readonly dropped: number;
    readonly invalid: number;
    readonly faults: number;
  };
}

/** Where large pages are decoded; the decode pool of the shard room has this shape. */
export interface DecodeState {
  readonly stats: { readonly waiting: number; readonly threads: number; readonly threadsMax: number };
  readonly times: { readonly inline: DurationHistogram; readonly threads: DurationHistogram };
}

/** The stores that tables share. */
export interface StoresState {
  status(): readonly {
    readonly name: string;
    readonly gets: number;
    readonly heads: number;
    readonly lists: number;
    readonly errors: number;
    readonly httpRequests: number;
    readonly retries: number;
    readonly hedges: number;
    readonly hedgesWon: number;
  }[];
}

export interface ServerContext {
  readonly catalog: Catalog;
  readonly engine: LookupEngine;
  readonly loader: PageLoader;
  readonly queries: QueryEngine;
  readonly preloader: Preloader;
  /** The indexes of a table: of its own key, then of the named ones. */
  readonly indexings: (table: Table) => readonly TableIndexing[];
  readonly clock: Clock;
  readonly options: ServerOptions;
  readonly encoders: Encoders;
  readonly largeReplies: LargeReplies;
  readonly tier: MemoryState;
  readonly rows: RowsState;
  /** Undefined where there is no disk tier. */
  readonly disk: DiskState | undefined;
  /** Undefined where whoever started the server does not say: what they count is then not shown. */
  readonly pool: DecodeState | undefined;
  readonly stores: StoresState | undefined;
  readonly metrics: RequestMetrics;
  readonly version: string;
  /** This event loop and the others of this process. */
  readonly loops: Loops;
  /** Faults of ours, for the log. */
  readonly onInternalError: (error: Error) => void;
  /** True once the server began to close. */
  readonly isDraining: () => boolean;
}
