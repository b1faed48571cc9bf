/**
 * A table by name: its definition, the snapshot it serves now, and the way to the next one.
 *
 * A refresh prepares the new snapshot beside the old one and switches in one assignment; a refresh that fails leaves
 * the old one serving. What a listing lacks is not believed at once (`settling.ts`): the next snapshot then has old
 * files, of which only what is cached can be read. A table that never had a snapshot answers with the error that kept
 * it from one.
 */

import { type DiskCache, MemoryQuota, type MemoryTier, SingleFlight } from '../cache/index.ts';
import { asServiceError, type Clock, ServiceError } from '../core/index.ts';
import { compareKeys, type ObjectMeta } from '../storage/index.ts';
import type { TableDefinition } from './definition.ts';
import { foreignFormatError, foreignFormatOfFooter } from './foreign-format.ts';
import { openFile, openStored } from './open-file.ts';
import { identityOf, openFiles } from './open-files.ts';
import { type Prepare, Preparing } from './preparing.ts';
import { behindTheServer, goneTable, isOutOfReach } from './refresh-errors.ts';
import { RefreshLog } from './refresh-log.ts';
import { RowSpaces } from './row-spaces.ts';
import { type AnyFile, type ServedFile, sameFiles, servedFiles, servedOf } from './served-files.ts';
import {
  ALL_SETTLED,
  type HeldTable,
  judgeListing,
  partitionNamer,
  type SettlingPartition,
  snapshotChanging,
  TAKEN,
  type Unsettled,
  type Verdict,
} from './settling.ts';
import { Snapshot } from './snapshot.ts';
import { changeBetween, objectOf, type SnapshotChange } from './snapshot-change.ts';
import { SnapshotHistory } from './snapshot-history.ts';
import { type StoredSnapshot, TableDisk } from './table-disk.ts';
import type { BrokenFile, TableFile } from './table-file.ts';
import type { TableSource } from './table-source.ts';

/** What files of older snapshots may take: a share of the node's budget, up to a bound. */
const HISTORY_SHARE = 1 / 64;
const HISTORY_BYTES_MAX = 64 * 2 ** 20;

/** Where a table keeps what should outlive the process. */
export interface DiskPlace {
  readonly cache: DiskCache;
  /** Of the S3 server, since buckets of two may have one name. */
  readonly endpoint: string;
}

export interface TableHooks {
  /** Warms the next snapshot while the last one still serves. Bounded in time; a failure is only logged. */
  readonly prepare?: Prepare | undefined;
  /** Told of each snapshot at the moment before it serves, in which nothing may be awaited. */
  readonly publish?: ((snapshot: Snapshot) => void) | undefined;
  readonly log?: ((line: string) => void) | undefined;
}

export interface RefreshOptions {
  /** Takes what is there, however much is lost. */
  readonly force?: boolean;
  /** A request waits for it, so that nothing is prepared. */
  readonly isUrgent?: boolean;
}

export interface RefreshOutcome {
  readonly snapshot: Snapshot;
  readonly change: SnapshotChange;
}

export class Table {
  readonly definition: TableDefinition;
  readonly source: TableSource;
  readonly refreshes: RefreshLog;
  /** What its blocks take in memory, and may take. */
  readonly quota: MemoryQuota;
  /** Why the last refresh failed; undefined after one that succeeded. */
  error: ServiceError | undefined = undefined;
  /** Set while the table lost so much that its last snapshot goes on serving. */
  held: HeldTable | undefined = undefined;
  /** Partitions that keep their old files for now. */
  settling: readonly SettlingPartition[] = [];
  #snapshot: Snapshot | undefined = undefined;
  readonly #history: SnapshotHistory;
  readonly #spaces = new RowSpaces();
  /** Files that the last listing has but no snapshot: those of partitions that are waited for. */
  #aside: readonly TableFile[] = [];
  #live: ReadonlySet<TableFile> = new Set();
  readonly #tier: MemoryTier;
  readonly #clock: Clock;
  readonly #flight = new SingleFlight<'refresh' | 'force', RefreshOutcome>();
  /** One refresh after another, whoever asked for them. Never rejects. */
  #turn: Promise<unknown> = Promise.resolve();
  readonly #preparing: Preparing;
  readonly #publishing: (snapshot: Snapshot) => void;
  readonly #disk: TableDisk | undefined;
  /** The last snapshot of the process before this one, until a listing was taken. */
  #stored: StoredSnapshot | undefined = undefined;
  #isRestored = false;
  #isClosed = false;

  constructor(
    definition: TableDefinition,
    source: TableSource,
    tier: MemoryTier,
    clock: Clock,
    disk?: DiskPlace,
    hooks: TableHooks = {},
  ) {
    this.definition = definition;
    this.source = source;
    this.refreshes = new RefreshLog(definition.refreshMs);
    this.quota = new MemoryQuota(definition.memoryQuotaBytes);
    this.#tier = tier;
    this.#clock = clock;
    this.#history = new SnapshotHistory(Math.min(HISTORY_BYTES_MAX, tier.budget.totalBytes * HISTORY_SHARE));
    this.#preparing = new Preparing(definition.name, clock, hooks.prepare, hooks.log);
    this.#publishing = hooks.publish ?? (() => undefined);
    if (disk === undefined) return;
    const place = `${disk.endpoint} ${source.place}`;
    this.#disk = new TableDisk(
      disk.cache,
      definition.name,
      selectionOf(definition),
      place,
      keyNamesInFiles(definition),
    );
    this.#stored = this.#disk.snapshot();
  }

  get name(): string {
    return this.definition.name;
  }

  get snapshot(): Snapshot | undefined {
    return this.#snapshot;
  }

  /** Whether the snapshot is one from disk that no listing has confirmed since the start. */
  get isRestored(): boolean {
    return this.#isRestored;
  }

  get disk(): TableDisk | undefined {
    return this.#disk;
  }

  /** The snapshot to answer from. Throws the table's error where there is none. */
  current(): Snapshot {
    if (this.#snapshot !== undefined) return this.#snapshot;
    throw (
      this.error ?? new ServiceError('unavailable', 'loading', `table ${this.name} is being opened; try again shortly`)
    );
  }

  /** One of the last few snapshots. Throws `snapshot_gone`. */
  asOf(id: string): Snapshot {
    const snapshot = this.#history.get(id);
    if (snapshot !== undefined) return snapshot;
    const kept = this.#history.ids();
    const message = `snapshot ${JSON.stringify(id)} of table ${this.name} is not kept here (any more); read the current one, and all of it again`;
    throw new ServiceError('notFound', 'snapshot_gone', message, { table: this.name, snapshot: id, kept });
  }

  /** Lists the source and serves what it holds now. Callers that come while one refresh runs share it. */
  async refresh(signal?: AbortSignal, options: RefreshOptions = {}): Promise<Snapshot> {
    return (await this.refreshed(signal, options)).snapshot;
  }

  /** The same, with what it changed. */
  refreshed(signal?: AbortSignal, { force = false, isUrgent = false }: RefreshOptions = {}): Promise<RefreshOutcome> {
    if (isUrgent) this.#preparing.hurry();
    const job = (flightSignal: AbortSignal) => this.#inTurn(() => this.#refresh(flightSignal, force));
    return this.#flight.run(force ? 'force' : 'refresh', job, signal);
  }

  /** For a table that left the configuration: lookups under way go on with what they hold. */
  close(): void {
    this.#isClosed = true;
    this.#history.clear();
    this.#aside = [];
    this.#releaseDropped();
  }

  #inTurn(job: () => Promise<RefreshOutcome>): Promise<RefreshOutcome> {
    const mine = this.#turn.then(job);
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  async #refresh(signal: AbortSignal, force: boolean): Promise<RefreshOutcome> {
    signal.throwIfAborted();
    const fresh: TableFile[] = [];
    const startedAtMs = this.#clock.nowMs();
    const number = this.refreshes.begin(startedAtMs);
    const { lists } = this.source.account.totals();
    try {
      const objects = await this.#list(signal, force);
      const files = await this.#open(objects, fresh, signal);
      const outcome = await this.#take(objects, files, fresh, startedAtMs, force, signal);
      this.refreshes.succeed(number, this.#clock.nowMs(), this.source.account.totals().lists - lists);
      this.error = undefined;
      return outcome;
    } catch (thrown) {
      for (const file of fresh) if (!this.#live.has(file)) file.release();
      signal.throwIfAborted();
      this.refreshes.failed += 1;
      this.error = behindTheServer(asServiceError(thrown), this.source.uri);
      if (this.#snapshot === undefined && isOutOfReach(this.error)) this.#restore(this.error);
      throw this.error;
    } finally {
      this.#preparing.done();
    }
  }

  /** Judges the listing, and switches to what follows from it. */
  async #take(
    objects: readonly ObjectMeta[],
    files: readonly AnyFile[],
    fresh: TableFile[],
    startedAtMs: number,
    force: boolean,
    signal: AbortSignal,
  ): Promise<RefreshOutcome> {
    const before = this.#snapshot;
    const isServed = before !== undefined && sameFiles(before, files);
    const verdict = force || isServed ? TAKEN : this.#judge(files, startedAtMs);
    const isWhole = verdict.kind === 'taken' && verdict.settling.length === 0;
    const served = isWhole ? files : this.#withOldFiles(verdict, objects, files, fresh);
    const isSame = before !== undefined && !this.#lacksFiles() && sameFiles(before, served);
    const snapshot = isSame ? before : this.#publish(served);
    if (isWhole) snapshot.confirmedAtMs = startedAtMs;
    else snapshot.confirmedAtMs = before?.confirmedAtMs ?? this.#stored?.confirmedAtMs ?? snapshot.confirmedAtMs;
    if (!isSame && before !== undefined) await this.#preparing.run(snapshot, before, signal);
    this.#switch(snapshot, verdict, isWhole ? [] : files);
    if (!isSame) this.#disk?.keepSnapshot(snapshot.id, servedFiles(snapshot), snapshot.createdAtMs);
    this.#disk?.confirm(snapshot.id, snapshot.confirmedAtMs, this);
    return { snapshot, change: changeBetween(before, snapshot) };
  }

  /** Nothing is awaited in here, so that no request sees half of it. */
  #switch(snapshot: Snapshot, verdict: Verdict, listed: readonly AnyFile[]): void {
    if (this.#isClosed) throw goneTable(this.name);
    this.#publishing(snapshot);
    const isSame = snapshot === this.#snapshot && listed.length === 0 && this.#aside.length === 0;
    this.#snapshot = snapshot;
    this.held = verdict.kind === 'held' ? verdict.held : undefined;
    this.settling = verdict.settling;
    this.#stored = undefined;
    this.#isRestored = false;
    if (isSame) return;
    this.#history.push(snapshot);
    this.#aside = listed.filter((file) => 'index' in file);
    this.#releaseDropped();
  }

  #releaseDropped(): void {
    const live = this.#history.files();
    for (const file of this.#aside) live.add(file);
    for (const file of this.#live) if (!live.has(file)) file.release();
    this.#live = live;
  }

  #judge(files: readonly AnyFile[], nowMs: number): Verdict {
    const now = files.map((file) => ({ key: file.object.key, rows: 'index' in file ? file.index.rows : undefined }));
    const before = this.#before().map(({ object, rows }) => ({ key: object.key, rows }));
    return judgeListing(before, now, partitionNamer(this.definition), this.definition, this.#unsettled(), nowMs);
  }

  /** After a start, until a listing was taken, that is what the last process served. */
  #before(): readonly ServedFile[] {
    return this.#stored?.objects.map((object) => ({ object, rows: object.rows })) ?? servedOf(this.#snapshot);
  }

  #unsettled(): Unsettled {
    return this.#stored?.unsettled ?? (this.#snapshot === undefined ? ALL_SETTLED : this);
  }

  /** The files listed, but the old ones of what is waited for. */
  #withOldFiles(
    verdict: Verdict,
    objects: readonly ObjectMeta[],
    files: readonly AnyFile[],
    fresh: TableFile[],
  ): readonly AnyFile[] {
    const partitionOf = partitionNamer(this.definition);
    const waitedFor = new Set(verdict.settling.map(({ partition }) => partition));
    const isOld = ({ key }: ObjectMeta) => verdict.kind === 'held' || waitedFor.has(partitionOf(key));
    const listed = new Set(objects.map(identityOf));
    const known = new Map<string, AnyFile>(files.map((file) => [identityOf(file.object), file]));
    for (const file of this.#snapshot?.files ?? []) {
      const identity = identityOf(objectOf(file));
      // What a restored snapshot lacks is not broken but unread.
      if (known.has(identity) || (this.#isRestored && file.kind === 'broken')) continue;
      known.set(identity, file.kind === 'readable' ? file.file : file);
    }
    const old = this.#before().flatMap(({ object }) => {
      if (!isOld(object)) return [];
      const file = known.get(identityOf(object)) ?? this.#openOld(object, fresh);
      if ('index' in file) file.isGone = !listed.has(identityOf(object));
      return [file];
    });
    const served = [...files.filter(({ object }) => !isOld(object)), ...old];
    return served.sort((a, b) => compareKeys(a.object.key, b.object.key));
  }

  /** A file of the process before, by what is on disk of it. */
  #openOld(object: ObjectMeta, fresh: TableFile[]): AnyFile {
    const file = openStored(
      this.source.store,
      object,
      keyNamesInFiles(this.definition),
      this.#tier,
      this.quota,
      this.#disk,
    );
    if (file === undefined) return { object, error: snapshotChanging(object.key) };
    fresh.push(file);
    return file;
  }

  /** Whether the snapshot is from disk and has files whose metadata was lost: they may be read now. */
  #lacksFiles(): boolean {
    return this.#isRestored && this.#snapshot?.files.some((file) => file.kind === 'broken') === true;
  }

  /**
   * Serves the last snapshot that is on disk, by what is on disk of its files. A file whose metadata is lost is one that
   * cannot be read: its keys are not covered, and never absent.
   */
  #restore(error: ServiceError): void {
    const stored = this.#stored;
    if (stored === undefined) return;
    const keyNames = keyNamesInFiles(this.definition);
    const files = stored.objects.map(
      (object) =>
        openStored(this.source.store, object, keyNames, this.#tier, this.quota, this.#disk) ?? { object, error },
    );
    const readable = files.filter((file) => 'index' in file);
    try {
      if (readable.length === 0) return;
      const snapshot = new Snapshot(this.definition, files, stored.createdAtMs, this.#spaces);
      snapshot.confirmedAtMs = stored.confirmedAtMs;
      this.#publishing(snapshot);
      this.#snapshot = snapshot;
      this.#history.push(snapshot);
      this.#live = this.#history.files();
      this.#isRestored = true;
    } catch (thrown) {
      for (const file of readable) file.release();
      if (!(thrown instanceof ServiceError)) throw thrown;
    }
  }

  async #list(signal: AbortSignal, force: boolean): Promise<readonly ObjectMeta[]> {
    if (this.#isClosed) throw goneTable(this.name);
    if (!this.definition.plainParquet) {
      const format = await this.source.foreignFormat(this.#snapshot === undefined, signal);
      if (format !== undefined) throw foreignFormatError(format, this.source.uri);
    }
    const objects = await this.source.list(signal);
    if (objects.length > 0 || this.definition.allowEmpty || (!force && this.#wouldHold())) return objects;
    throw new ServiceError(
      'unavailable',
      'no_files',
      `there are no files in ${this.source.uri}; put Parquet files there, or say \`allow_empty: true\` for this table`,
      { source: this.source.uri },
    );
  }

  /** Whether a source with nothing in it is a loss that has to be confirmed. */
  #wouldHold(): boolean {
    return this.definition.maxShrink < 1 && this.#before().some(({ rows = 0 }) => rows > 0);
  }

  /** Opens what is new; files that are known at their version are taken over with their blocks. */
  #open(objects: readonly ObjectMeta[], fresh: TableFile[], signal: AbortSignal): Promise<readonly AnyFile[]> {
    const known = new Map<string, TableFile>();
    for (const file of this.#live) {
      known.set(identityOf(file.object), file);
    }
    for (const object of objects) {
      const file = known.get(identityOf(object));
      if (file !== undefined) file.isGone = false;
    }
    return openFiles(objects, known, async (object) => {
      const keyNames = keyNamesInFiles(this.definition);
      const file = await openFile(this.source.store, object, keyNames, this.#tier, this.quota, signal, this.#disk);
      fresh.push(file);
      const format = this.definition.plainParquet ? undefined : foreignFormatOfFooter(file.index);
      if (format !== undefined) throw foreignFormatError(format, this.source.uri);
      return file;
    });
  }

  #publish(files: readonly AnyFile[]): Snapshot {
    const [first] = files;
    if (first !== undefined && files.every((file) => 'error' in file)) {
      // Not one file can be read: the table has nothing to serve, and the first file's fault says why.
      throw (first as BrokenFile).error;
    }
    return new Snapshot(this.definition, files, this.#clock.nowMs(), this.#spaces);
  }
}

/** The columns of all keys by every name that a file may have for them. */
function keyNamesInFiles({ key, keys, schema }: TableDefinition): readonly string[] {
  const names = [...new Set([...key, ...keys.flatMap(({ columns }) => columns)])];
  return [...names, ...schema.flatMap(({ name, from }) => (names.includes(name) ? from : []))];
}

/** What decides which objects a listing gives: a snapshot of another selection tells nothing of this one. */
function selectionOf({ source, only, requireSuccess }: TableDefinition): string {
  return only.length === 0 ? source : `${source} ${JSON.stringify({ only, requireSuccess })}`;
}
