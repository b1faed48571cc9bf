/**
 * The preloads of a node, one a table: begun by its configuration or by a request, followed until they end.
 *
 * One of the configuration goes on after every refresh with the files that came; of a pinned one they are brought before the
 * switch to them. A pinned one is looked through now and then, so that the memory tier sees its blocks as read, and what
 * was evicted all the same is brought back. Nothing here makes an answer wrong or a lookup fail: a preload only ever
 * fills caches.
 */

import { asServiceError, type Clock, formatBytes, ServiceError } from '../core/index.ts';
import type { PreloadRequest, Snapshot, SnapshotReadableFile, Table, TableFile } from '../table/index.ts';
import type { PageLoader } from './page-loader.ts';
import { PreloadJob } from './preload-job.ts';
import { nextTurn, PreloadPace, type WaitingLookups } from './preload-pace.ts';
import { type PreloadPlan, planPreload, rowsInRange } from './preload-plan.ts';

/** Between two looks at a table's snapshot, and at what is pinned. */
const LOOK_MS = 5_000;

export interface PreloaderParts {
  readonly loader: PageLoader;
  readonly clock: Clock;
  readonly engine: { readonly waiting: WaitingLookups };
  readonly tier: { readonly stats: { readonly evicted: number } };
  /** Bytes that blocks may take beside metadata. */
  readonly memoryRoom: () => number;
  /** Undefined where there is no disk tier. */
  readonly disk: { readonly state: { readonly budgetBytes: number }; idle(): Promise<void> } | undefined;
  readonly log: (line: string) => void;
}

/** A table's last preload. */
export interface Preload {
  readonly id: string;
  readonly request: PreloadRequest;
  /** The newest: what is brought back, or came with a refresh, is a job of its own. */
  readonly job: PreloadJob;
  /** Whether files that later refreshes bring are preloaded too, and pins kept. */
  readonly isFollowed: boolean;
  readonly pinnedUntilMs: number | undefined;
  /** Why files that came later were left out. */
  readonly error: ServiceError | undefined;
}

interface Kept extends Preload {
  job: PreloadJob;
  isFollowed: boolean;
  error: ServiceError | undefined;
  readonly plans: PreloadPlan[];
  readonly seen: WeakSet<TableFile>;
  readonly stop: AbortController;
}

export class Preloader {
  readonly #parts: PreloaderParts;
  /** By table: as many as there are tables. */
  readonly #kept = new Map<string, Kept>();
  #begun = 0;

  constructor(parts: PreloaderParts) {
    this.#parts = parts;
  }

  of(table: string): Preload | undefined {
    return this.#kept.get(table);
  }

  /**
   * Begins a preload of the table's snapshot and goes on by itself; `configured` ones follow the table's refreshes.
   * Throws `preload_running`, `preload_too_large`, or what is wrong with the request.
   */
  async begin(table: Table, request: PreloadRequest, configured = false): Promise<Preload> {
    this.#refuseSecond(table.name);
    const snapshot = table.current();
    if (request.into === 'disk' && this.#parts.disk === undefined) {
      throw new ServiceError(
        'invalid',
        'bad_preload',
        'there is no disk tier; configure cache.disk, or write into: memory',
      );
    }
    const files = readable(snapshot);
    const plan = await planPreload(snapshot, request, files);
    this.#refuseSecond(table.name);
    if (!request.force) this.#refuseTooLarge(table, request, plan);
    const { clock } = this.#parts;
    this.#begun += 1;
    const kept: Kept = {
      id: `${table.name}-${this.#begun}`,
      request,
      job: this.#job(request, plan),
      isFollowed: configured || request.pin,
      pinnedUntilMs: request.ttlMs === undefined ? undefined : clock.nowMs() + request.ttlMs,
      error: undefined,
      plans: [plan],
      seen: new WeakSet(files.map(({ file }) => file)),
      stop: new AbortController(),
    };
    this.#kept.get(table.name)?.stop.abort();
    this.#kept.set(table.name, kept);
    void this.#follow(table, kept);
    return kept;
  }

  /** Begins the table's configured preload as soon as it has a snapshot. Never rejects; logs what keeps it from it. */
  async keep(table: Table, request: PreloadRequest, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#parts;
    try {
      while (table.snapshot === undefined || table.isRestored) await clock.sleep(LOOK_MS, signal);
      await this.begin(table, request, true);
    } catch (thrown) {
      if (!signal.aborted) log(`table ${table.name} is not preloaded: ${asServiceError(thrown).message}`);
    }
  }

  /**
   * Brings what is pinned of the files that are new in a table's next snapshot, before the switch to it. Not where that
   * would push out what is pinned of the snapshot that still serves: it comes after the switch then. Never rejects.
   */
  async prepare(table: Table, next: Snapshot, signal: AbortSignal): Promise<void> {
    const kept = this.#kept.get(table.name);
    if (kept === undefined || !kept.request.pin || !kept.isFollowed) return;
    const fresh = readable(next).filter(({ file }) => !kept.seen.has(file));
    if (fresh.length === 0) return;
    try {
      const plan = await planPreload(next, kept.request, fresh);
      const pinnedBytes = kept.plans.reduce((sum, { decodedBytes }) => sum + decodedBytes, 0);
      const room = Math.min(table.quota.limitBytes, this.#memoryRoom(table.name));
      if (pinnedBytes + plan.decodedBytes > room) return;
      await runUntil(this.#job({ ...kept.request, verify: false }, plan), AbortSignal.any([signal, kept.stop.signal]));
    } catch (thrown) {
      this.#parts.log(
        `what is pinned of table ${table.name} comes after the switch: ${asServiceError(thrown).message}`,
      );
    }
  }

  /** Ends the table's preload and its pin; what came stays until it is evicted. */
  cancel(table: string): Preload | undefined {
    const kept = this.#kept.get(table);
    kept?.job.cancel();
    kept?.stop.abort();
    if (kept !== undefined) kept.isFollowed = false;
    return kept;
  }

  close(): void {
    for (const name of this.#kept.keys()) this.cancel(name);
  }

  #job(request: PreloadRequest, plan: PreloadPlan): PreloadJob {
    const { loader, clock, engine, tier, disk } = this.#parts;
    return new PreloadJob({
      loader,
      clock,
      plan,
      pace: new PreloadPace(clock, request.rateBytes, () => engine.waiting),
      into: request.into,
      verify: request.verify,
      evictions: () => tier.stats.evicted,
      diskIdle: async () => disk?.idle(),
    });
  }

  #refuseSecond(table: string): void {
    const running = this.#kept.get(table);
    if (running?.job.state !== 'running') return;
    const message = `table ${table} is being preloaded already; wait for it, or end it with DELETE /v1/tables/${table}/preload`;
    throw new ServiceError('invalid', 'preload_running', message, { id: running.id });
  }

  #refuseTooLarge({ name, quota }: Table, { into }: PreloadRequest, { decodedBytes, bytes }: PreloadPlan): void {
    const memory = Math.min(quota.limitBytes, this.#memoryRoom(name));
    const room = into === 'disk' ? (this.#parts.disk?.state.budgetBytes ?? 0) : memory;
    if (decodedBytes <= room) return;
    const limit = into === 'disk' ? 'cache.disk.size' : room === quota.limitBytes ? 'its quota' : 'cache.memory';
    const message = `the preload of table ${name} would take about ${formatBytes(decodedBytes)} of ${into}, where there is room for ${formatBytes(room)}; choose fewer columns or keys, raise ${limit}, or write force: true`;
    throw new ServiceError('tooLarge', 'preload_too_large', message, { decoded_bytes: decodedBytes, bytes, room });
  }

  /** What metadata and the pins of other tables leave. */
  #memoryRoom(table: string): number {
    let room = this.#parts.memoryRoom();
    for (const [name, kept] of this.#kept) {
      if (name === table || !kept.request.pin || !kept.isFollowed) continue;
      for (const plan of kept.plans) room -= plan.decodedBytes;
    }
    return Math.max(0, room);
  }

  /** Never rejects. */
  async #follow(table: Table, kept: Kept): Promise<void> {
    const { clock, log } = this.#parts;
    await this.#run(table, kept);
    try {
      while (kept.isFollowed && !kept.stop.signal.aborted) {
        await clock.sleep(LOOK_MS, kept.stop.signal);
        if (kept.pinnedUntilMs !== undefined && clock.nowMs() >= kept.pinnedUntilMs) break;
        await this.#loadNewFiles(table, kept);
        if (kept.request.pin) await this.#touch(table, kept);
      }
    } catch (thrown) {
      if (!kept.stop.signal.aborted) log(`preload of table ${table.name} ends: ${asServiceError(thrown).message}`);
    }
    kept.isFollowed = false;
  }

  async #run(table: Table, { job }: Kept): Promise<void> {
    await job.run();
    const { state, trace, errorCount, pagesLoaded } = job;
    const errors = errorCount === 0 ? '' : `, ${errorCount} errors: ${job.errors[0]?.message}`;
    this.#parts.log(
      `preload of table ${table.name} ${state}: ${pagesLoaded} pages in ${trace.readsBegun} reads of ${formatBytes(trace.readBytes)}${errors}`,
    );
  }

  async #loadNewFiles(table: Table, kept: Kept): Promise<void> {
    const { snapshot } = table;
    if (snapshot === undefined) return;
    const all = readable(snapshot);
    const fresh = all.filter(({ file }) => !kept.seen.has(file));
    if (fresh.length === 0) return;
    for (const { file } of fresh) kept.seen.add(file);
    try {
      // The whole is planned again, so that pages of files that are gone are no longer looked after.
      const whole = await planPreload(snapshot, kept.request, all);
      if (!kept.request.force) this.#refuseTooLarge(table, kept.request, whole);
      kept.plans.splice(0, kept.plans.length, whole);
      kept.error = undefined;
      kept.job = this.#job(kept.request, await planPreload(snapshot, kept.request, fresh));
    } catch (thrown) {
      kept.error = asServiceError(thrown);
      this.#parts.log(`new files of table ${table.name} are not preloaded: ${kept.error.message}`);
      return;
    }
    await this.#run(table, kept);
  }

  /** Reads every pinned block, as a lookup would, and brings back what left. */
  async #touch(table: Table, kept: Kept): Promise<void> {
    let missing = 0;
    for (const plan of kept.plans) {
      for (const unit of plan.units) {
        const rows = rowsInRange(unit, plan.range);
        for (const position of unit.positions) {
          const chunk = unit.file.file.chunk(unit.rowGroup, position);
          for (let at = 0; at < rows.length; at += 2) {
            for (let row = rows[at] ?? 0; row < (rows[at + 1] ?? 0); ) {
              const found = chunk.at(row, undefined);
              if (found === undefined) missing += 1;
              const next = found === undefined ? pageEnd(chunk, row) : found.firstRow + found.block.rows;
              row = Math.max(row + 1, next);
            }
          }
        }
        await nextTurn();
        kept.stop.signal.throwIfAborted();
      }
    }
    const [plan] = kept.plans;
    if (missing === 0 || plan === undefined) return;
    kept.job = this.#job({ ...kept.request, verify: false }, plan);
    await this.#run(table, kept);
  }
}

async function runUntil(job: PreloadJob, signal: AbortSignal): Promise<void> {
  const onAbort = () => job.cancel();
  if (signal.aborted) return;
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await job.run();
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

function pageEnd({ layout }: ReturnType<TableFile['chunk']>, row: number): number {
  return layout === undefined ? Number.POSITIVE_INFINITY : layout.locations.rowEnd(layout.locations.pageOf(row));
}

function readable(snapshot: Snapshot): readonly SnapshotReadableFile[] {
  return snapshot.files.filter((file) => file.kind === 'readable');
}
