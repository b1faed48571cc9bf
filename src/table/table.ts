/**
 * A table by name: its definition, the snapshot it serves now, and the way to the next one.
 *
 * A refresh prepares the new snapshot beside the old one and switches in one assignment; a refresh that fails leaves
 * the old one serving. A table that never had a snapshot answers with the error that kept it from one.
 */

import { type MemoryTier, SingleFlight } from '../cache/index.ts';
import { asServiceError, type Clock, ServiceError } from '../core/index.ts';
import type { ObjectMeta } from '../storage/index.ts';
import type { TableDefinition } from './definition.ts';
import { foreignFormatError, foreignFormatOfFooter } from './foreign-format.ts';
import { openFile } from './open-file.ts';
import { Snapshot } from './snapshot.ts';
import type { BrokenFile, TableFile } from './table-file.ts';
import type { TableSource } from './table-source.ts';

/** Files opened together: their footers are small and S3 is far away. */
const OPEN_AT_ONCE = 32;

export class Table {
  readonly definition: TableDefinition;
  readonly source: TableSource;
  /** Why the last refresh failed; undefined after one that succeeded. */
  error: ServiceError | undefined = undefined;
  #snapshot: Snapshot | undefined = undefined;
  readonly #tier: MemoryTier;
  readonly #clock: Clock;
  readonly #flight = new SingleFlight<'refresh', Snapshot>();

  constructor(definition: TableDefinition, source: TableSource, tier: MemoryTier, clock: Clock) {
    this.definition = definition;
    this.source = source;
    this.#tier = tier;
    this.#clock = clock;
  }

  get name(): string {
    return this.definition.name;
  }

  get snapshot(): Snapshot | undefined {
    return this.#snapshot;
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
    try {
      const objects = await this.#list(signal);
      const files = await this.#open(objects, signal);
      if (this.#snapshot !== undefined && sameFiles(this.#snapshot, files)) {
        this.#snapshot.confirmedAtMs = this.#clock.nowMs();
      } else {
        this.#snapshot = this.#publish(files);
      }
      this.error = undefined;
      return this.#snapshot;
    } catch (thrown) {
      signal.throwIfAborted();
      this.error = asServiceError(thrown);
      throw this.error;
    }
  }

  async #list(signal: AbortSignal): Promise<readonly ObjectMeta[]> {
    if (!this.definition.plainParquet) {
      const format = await this.source.foreignFormat(signal);
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
  async #open(objects: readonly ObjectMeta[], signal: AbortSignal): Promise<readonly (TableFile | BrokenFile)[]> {
    const known = new Map<string, TableFile>();
    for (const file of this.#snapshot?.files ?? []) {
      if (file.kind === 'readable') known.set(identityOf(file.file.object), file.file);
    }
    const files = new Array<TableFile | BrokenFile>(objects.length);
    let next = 0;
    const openSome = async () => {
      for (let at = next++; at < objects.length; at = next++) {
        const object = objects[at];
        if (object === undefined) break;
        files[at] = known.get(identityOf(object)) ?? (await this.#openOne(object, signal));
      }
    };
    await Promise.all(Array.from({ length: Math.min(OPEN_AT_ONCE, objects.length) }, openSome));
    return files;
  }

  /** A broken file becomes a value; storage that cannot answer fails the whole refresh, since it tells nothing. */
  async #openOne(object: ObjectMeta, signal: AbortSignal): Promise<TableFile | BrokenFile> {
    try {
      const file = await openFile(this.source.store, object, this.definition.key, this.#tier, signal);
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
