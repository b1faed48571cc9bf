/**
 * A table by name: its definition, the snapshot it serves now, and the way to the next one.
 *
 * A refresh prepares the new snapshot beside the old one and switches in one assignment; a refresh that fails leaves
 * the old one serving. A table that never had a snapshot answers with the error that kept it from one.
 */

import { type DiskCache, type MemoryTier, SingleFlight } from '../cache/index.ts';
import { asServiceError, type Clock, ServiceError } from '../core/index.ts';
import type { ObjectMeta } from '../storage/index.ts';
import type { TableDefinition } from './definition.ts';
import { foreignFormatError, foreignFormatOfFooter } from './foreign-format.ts';
import { openFile, openStored } from './open-file.ts';
import { Snapshot } from './snapshot.ts';
import { type StoredSnapshot, TableDisk } from './table-disk.ts';
import type { BrokenFile, TableFile } from './table-file.ts';
import type { TableSource } from './table-source.ts';

/** Files opened together: their footers are small and S3 is far away. */
const OPEN_AT_ONCE = 64;

/** Where a table keeps what should outlive the process. */
export interface DiskPlace {
  readonly cache: DiskCache;
  /** Of the S3 server, since buckets of two may have one name. */
  readonly endpoint: string;
}

export class Table {
  readonly definition: TableDefinition;
  readonly source: TableSource;
  /** Why the last refresh failed; undefined after one that succeeded. */
  error: ServiceError | undefined = undefined;
  #snapshot: Snapshot | undefined = undefined;
  readonly #tier: MemoryTier;
  readonly #clock: Clock;
  readonly #flight = new SingleFlight<'refresh', Snapshot>();
  readonly #disk: TableDisk | undefined;
  /** The last snapshot of the process before this one, until this one has its own. */
  #stored: StoredSnapshot | undefined = undefined;
  #isRestored = false;

  constructor(definition: TableDefinition, source: TableSource, tier: MemoryTier, clock: Clock, disk?: DiskPlace) {
    this.definition = definition;
    this.source = source;
    this.#tier = tier;
    this.#clock = clock;
    if (disk === undefined) return;
    const place = `${disk.endpoint} ${source.place}`;
    this.#disk = new TableDisk(disk.cache, definition.name, source.uri, place, keyNamesInFiles(definition));
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

  /** Lists the source and serves what it holds now. Callers that come while one refresh runs share it. */
  refresh(signal?: AbortSignal): Promise<Snapshot> {
    return this.#flight.run('refresh', (flightSignal) => this.#refresh(flightSignal), signal);
  }

  async #refresh(signal: AbortSignal): Promise<Snapshot> {
    const fresh: TableFile[] = [];
    try {
      const objects = await this.#list(signal);
      const files = await this.#open(objects, fresh, signal);
      if (this.#snapshot !== undefined && !this.#lacksFiles() && sameFiles(this.#snapshot, files)) {
        this.#snapshot.confirmedAtMs = this.#clock.nowMs();
      } else {
        const before = this.#snapshot;
        this.#snapshot = this.#publish(files);
        releaseDropped(before, files);
        this.#disk?.keepSnapshot(this.#snapshot.id, objects, this.#snapshot.createdAtMs);
      }
      this.#disk?.confirm(this.#snapshot.id, this.#snapshot.confirmedAtMs);
      this.#stored = undefined;
      this.#isRestored = false;
      this.error = undefined;
      return this.#snapshot;
    } catch (thrown) {
      for (const file of fresh) file.release();
      signal.throwIfAborted();
      this.error = behindTheServer(asServiceError(thrown), this.source.uri);
      if (this.#snapshot === undefined && isOutOfReach(this.error)) this.#restore(this.error);
      throw this.error;
    }
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
      (object) => openStored(this.source.store, object, keyNames, this.#tier, this.#disk) ?? { object, error },
    );
    const readable = files.filter((file) => 'index' in file);
    try {
      if (readable.length === 0) return;
      const snapshot = new Snapshot(this.definition, files, stored.createdAtMs);
      snapshot.confirmedAtMs = stored.confirmedAtMs;
      this.#snapshot = snapshot;
      this.#isRestored = true;
      this.#stored = undefined;
    } catch (thrown) {
      for (const file of readable) file.release();
      if (!(thrown instanceof ServiceError)) throw thrown;
    }
  }

  async #list(signal: AbortSignal): Promise<readonly ObjectMeta[]> {
    if (!this.definition.plainParquet) {
      const format = await this.source.foreignFormat(this.#snapshot === undefined, signal);
      if (format !== undefined) throw foreignFormatError(format, this.source.uri);
    }
    const objects = await this.source.list(signal);
    if (objects.length === 0 && !this.definition.allowEmpty) {
      throw new ServiceError(
        'unavailable',
        'no_files',
        `there are no files in ${this.source.uri}; put Parquet files there, or say \`allow_empty: true\` for this table`,
        { source: this.source.uri },
      );
    }
    return objects;
  }

  /** Opens what is new; files that the last snapshot has at the same version are taken over with their blocks. */
  async #open(
    objects: readonly ObjectMeta[],
    fresh: TableFile[],
    signal: AbortSignal,
  ): Promise<readonly (TableFile | BrokenFile)[]> {
    const known = new Map<string, TableFile>();
    for (const file of this.#snapshot?.files ?? []) {
      if (file.kind === 'readable') known.set(identityOf(file.file.object), file.file);
    }
    const files = new Array<TableFile | BrokenFile>(objects.length);
    const queue = objects.entries();
    const faults: unknown[] = [];
    const lane = async () => {
      for (const [at, object] of queue) {
        if (faults.length > 0) return;
        try {
          files[at] = known.get(identityOf(object)) ?? (await this.#openOne(object, fresh, signal));
        } catch (thrown) {
          faults.push(thrown);
        }
      }
    };
    // Every lane is waited for, so that nothing is opened after a failure was dealt with.
    await Promise.all(Array.from({ length: Math.min(OPEN_AT_ONCE, objects.length) }, lane));
    if (faults.length > 0) throw faults[0];
    return files;
  }

  /** A broken file becomes a value; storage that cannot answer fails the whole refresh, since it tells nothing. */
  async #openOne(object: ObjectMeta, fresh: TableFile[], signal: AbortSignal): Promise<TableFile | BrokenFile> {
    try {
      const keyNames = keyNamesInFiles(this.definition);
      const file = await openFile(this.source.store, object, keyNames, this.#tier, signal, this.#disk);
      fresh.push(file);
      const format = this.definition.plainParquet ? undefined : foreignFormatOfFooter(file.index);
      if (format !== undefined) throw foreignFormatError(format, this.source.uri);
      return file;
    } catch (thrown) {
      const error = asServiceError(thrown);
      if (error.kind === 'corrupt' || error.kind === 'unsupported') return { object, error };
      throw error;
    }
  }

  #publish(files: readonly (TableFile | BrokenFile)[]): Snapshot {
    const [first] = files;
    if (first !== undefined && files.every((file) => 'error' in file)) {
      // Not one file can be read: the table has nothing to serve, and the first file's fault says why.
      throw (first as BrokenFile).error;
    }
    return new Snapshot(this.definition, files, this.#clock.nowMs());
  }
}

/** Storage that cannot be reached says nothing of the objects; storage that refuses or has nothing does. */
function isOutOfReach({ code, kind }: ServiceError): boolean {
  return kind === 'timeout' || code === 'unavailable' || code === 'request_timeout';
}

/** Whatever keeps a table from a snapshot is the server's side, however storage called it: a missing file is no 404. */
function behindTheServer(error: ServiceError, source: string): ServiceError {
  if (error.kind === 'notFound') {
    return new ServiceError(
      'unavailable',
      'no_files',
      `there is nothing at ${source}: ${error.message}`,
      { source },
      error,
    );
  }
  const callers: readonly string[] = ['invalid', 'unauthorized', 'tooLarge', 'overloaded'];
  if (!callers.includes(error.kind)) return error;
  return new ServiceError('unavailable', error.code, error.message, error.context, error);
}

/** The key columns by every name that a file may have for them. */
function keyNamesInFiles({ key, schema }: TableDefinition): readonly string[] {
  return [...key, ...schema.flatMap(({ name, from }) => (key.includes(name) ? from : []))];
}

function releaseDropped(before: Snapshot | undefined, files: readonly (TableFile | BrokenFile)[]): void {
  const kept = new Set<unknown>(files);
  for (const file of before?.files ?? []) if (file.kind === 'readable' && !kept.has(file.file)) file.file.release();
}

function identityOf(object: ObjectMeta): string {
  return `${object.eTag} ${object.sizeBytes} ${object.key}`;
}

function sameFiles(snapshot: Snapshot, files: readonly (TableFile | BrokenFile)[]): boolean {
  return (
    snapshot.files.length === files.length &&
    snapshot.files.every((file, i) => {
      const now = files[i];
      return file.kind === 'readable'
        ? file.file === now
        : now !== undefined && 'error' in now && identityOf(now.object) === identityOf(file.object);
    })
  );
}
