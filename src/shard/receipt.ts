/**
 * What an answer took: what was ruled out and by what, what was read from which tier, what it cost, and how long each
 * stage was. Its size does not depend on the answer's.
 *
 * The receipt of a batch has the sums of its keys, whose stages overlap: only `total` is time that passed.
 */

import { SearchTrace, type Snapshot } from '../table/index.ts';
import type { LookupTrace, Stage } from './lookup-trace.ts';

/** US dollars for so many charged requests that brought so many bytes. */
export type ReceiptPrice = (gets: number, bytes: number) => number;

export class Receipt {
  readonly search: SearchTrace = new SearchTrace();
  /** Keys that were looked up. */
  keys = 0;
  /** Rows that were answered as they were kept. */
  rowCacheHits = 0;
  /** What it was read from, the last one last: an object that changes while it is read makes a second. */
  readonly #snapshots: Snapshot[] = [];
  /** Of lookups that have begun. */
  readonly #traces: LookupTrace[] = [];
  readonly #startedMs = performance.now();

  /** The request runs on this snapshot. */
  begin(snapshot: Snapshot): void {
    this.#snapshots.push(snapshot);
  }

  /** A row was answered as it was kept. */
  keptRow(): void {
    this.keys += 1;
    this.rowCacheHits += 1;
  }

  /** A lookup begins; what its trace says when the receipt is written counts. */
  add(trace: LookupTrace): void {
    this.keys += 1;
    this.#traces.push(trace);
  }

  /** As JSON shows it. */
  toObject(price: ReceiptPrice): object {
    const { search } = this;
    const sum = (of: (trace: LookupTrace) => number) => this.#traces.reduce((all, trace) => all + of(trace), 0);
    const indexPages = sum((trace) => trace.indexPages);
    const receivedBytes = sum((trace) => trace.receivedBytes);
    return {
      snapshot: this.#snapshots.at(-1)?.id ?? null,
      keys: this.keys,
      ...(this.#snapshots.length > 1 ? { restarted: true } : {}),
      files: {
        considered: search.files,
        by_bounds: search.filesByBounds,
        by_index: search.filesByIndex,
        searched: search.filesSearched,
      },
      row_groups: {
        by_bounds: search.rowGroupsByBounds,
        by_bloom: search.rowGroupsByBloom,
        searched: search.rowGroupsSearched,
      },
      key_pages: { by_bounds: search.keyPages - search.keyPagesLeft, left: search.keyPagesLeft },
      ...(search.rowsByIndex > 0 ? { rows_by_index: search.rowsByIndex } : {}),
      ...(indexPages > 0 ? { index_pages: { disk: indexPages } } : {}),
      blocks: {
        row_cache: this.rowCacheHits,
        memory: search.memoryBlocks,
        disk: sum((trace) => trace.pagesFromDisk),
        origin: sum((trace) => trace.pagesFromOrigin),
      },
      storage: {
        reads: sum((trace) => trace.readsBegun),
        read_bytes: sum((trace) => trace.readBytes),
        requests: sum((trace) => trace.requests),
        bytes: receivedBytes,
        usd: price(
          sum((trace) => trace.gets),
          receivedBytes,
        ),
        shared: sum((trace) => trace.shared),
        pages_decoded: sum((trace) => trace.pagesRead),
      },
      ...this.#estimate(),
      us: { ...this.#stages(toUs), total: toUs(performance.now() - this.#startedMs) },
    };
  }

  /** The stages as the header `server-timing` has them, in milliseconds. */
  serverTiming(): string {
    const total = performance.now() - this.#startedMs;
    const stages = Object.entries(this.#stages((ms) => ms)).filter(([, ms]) => ms > 0);
    return [...stages, ['total', total] as const].map(([stage, ms]) => `${stage};dur=${ms.toFixed(3)}`).join(', ');
  }

  /** Only where a key had to be looked for in storage. */
  #estimate(): object {
    const estimates = this.#traces.flatMap(({ estimate }) => estimate ?? []);
    if (estimates.length === 0) return {};
    const sum = (of: 'gets' | 'bytes') => estimates.reduce((all, estimate) => all + estimate[of], 0);
    return { estimate: { gets: sum('gets'), bytes: sum('bytes') } };
  }

  #stages(unit: (ms: number) => number): Readonly<Record<Stage, number>> {
    const of = (stage: Stage) => unit(this.#traces.reduce((ms, { stages }) => ms + stages[stage], 0));
    return {
      queue: of('queue'),
      locate: of('locate'),
      disk: of('disk'),
      fetch: of('fetch'),
      decode: of('decode'),
      encode: of('encode'),
    };
  }
}

function toUs(ms: number): number {
  return Math.round(ms * 1000);
}
