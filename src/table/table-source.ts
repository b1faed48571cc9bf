/** Where a table's files are found, looked at anew by every refresh. */

import { ServiceError } from '../core/index.ts';
import {
  listSource,
  NO_VERSION,
  type ObjectMeta,
  type ObjectStore,
  parseSourceUri,
  resolveSource,
  type Source,
  StorageAccount,
  type StoreProvider,
} from '../storage/index.ts';
import type { PartitionChoice, TableDefinition } from './definition.ts';
import { type ForeignFormat, foreignFormatOfKey, markerPrefixes } from './foreign-format.ts';
import { TablePartitions } from './partition.ts';
import { chosenObjects } from './partition-choice.ts';

/** Keys looked at below a marker's prefix: a `metadata/` folder of something else may be large. */
const MARKER_KEYS_MAX = 1000;

/** What of the source is served, and how its folders are read. */
type SourceOptions = Partial<
  Pick<TableDefinition, 'immutable' | 'partitions' | 'schema' | 'only' | 'requireSuccess' | 'allowEmpty'>
>;

export class TableSource {
  readonly uri: string;
  readonly store: ObjectStore;
  /** What reading the table has cost so far. */
  readonly account: StorageAccount;
  readonly #source: Source;
  readonly #options: SourceOptions;

  /** Throws `invalid` on a URI that is none. */
  constructor(
    uri: string,
    stores: StoreProvider,
    account: StorageAccount = new StorageAccount(),
    options: SourceOptions = {},
  ) {
    this.uri = uri;
    this.#options = options;
    this.account = account;
    this.#source = parseSourceUri(uri);
    this.store = stores.storeFor(this.#source);
  }

  /** What its keys are unique in. */
  get place(): string {
    return this.#source.bucket === undefined ? 'file' : `s3://${this.#source.bucket}`;
  }

  /** The objects of the source, in bytewise order of key. */
  async list(signal: AbortSignal): Promise<readonly ObjectMeta[]> {
    const source = await resolveSource(this.store, this.#source, { signal });
    const objects: ObjectMeta[] = [];
    const succeeded = this.#options.requireSuccess ? new Set<string>() : undefined;
    const onSuccessMarker = succeeded && ((folder: string) => void succeeded.add(folder));
    for await (const object of listSource(this.store, source, { signal, onSuccessMarker })) objects.push(object);
    const chosen = this.#chosen(objects, succeeded);
    if (!this.#options.immutable && chosen.some(({ eTag }) => eTag === NO_VERSION)) throw unversioned(this.uri);
    return chosen;
  }

  /** What `only` leaves. Folders that are not as declared are refused here, before any file is opened. */
  #chosen(objects: readonly ObjectMeta[], succeeded: ReadonlySet<string> | undefined): readonly ObjectMeta[] {
    const { partitions: declared = [], schema = [], only = [], allowEmpty = false } = this.#options;
    if (objects.length === 0) return objects;
    const keys = objects.map(({ key }) => key);
    const partitions = new TablePartitions({ source: this.uri, partitions: declared, schema }, keys);
    const names = [...declared, ...only].map(({ name }) => name);
    const missing = names.find((name) => !partitions.hasFolder(name));
    if (missing !== undefined) throw noFolder(this.uri, missing);
    const chosen = chosenObjects(objects, only, partitions, succeeded);
    if (chosen.length === 0 && !allowEmpty) throw nothingChosen(this.uri, only, succeeded !== undefined);
    return chosen;
  }

  /**
   * The table format whose markers lie in the source's folder or, when asked to look `above`, a parent of it. A parent that may not be listed tells
   * nothing and is passed over: credentials are often cut down to the table's own prefix.
   */
  async foreignFormat(above: boolean, signal: AbortSignal): Promise<ForeignFormat | undefined> {
    const path = this.#source.kind === 'object' ? this.#source.key : this.#source.prefix;
    const ownFolder = this.#source.kind === 'object' ? `${path}/` : path;
    const found = await Promise.all(
      markerPrefixes(ownFolder, above).map((prefix) => this.#formatBelow(prefix, signal).catch(unlessRefused)),
    );
    return found.find((format) => format !== undefined);
  }

  async #formatBelow(prefix: string, signal: AbortSignal): Promise<ForeignFormat | undefined> {
    let seen = 0;
    for await (const object of this.store.list(prefix, { signal })) {
      const format = foreignFormatOfKey(object.key);
      seen += 1;
      if (format !== undefined || seen >= MARKER_KEYS_MAX) return format;
    }
    return undefined;
  }
}

/** What cannot be told from its next version would be answered from a mix of both. */
function unversioned(uri: string): ServiceError {
  const { origin, pathname } = new URL(uri);
  const message = `${origin}${pathname} is served with neither a strong ETag nor Last-Modified, so a change would go unseen; if it never changes say \`immutable: true\` for this table`;
  return new ServiceError('unavailable', 'no_version', message, { source: `${origin}${pathname}` });
}

function noFolder(source: string, name: string): ServiceError {
  const message = `no file of ${source} lies in a folder ${name}=...; name a source whose folders are partitions by ${name}, or take it out of \`partitions\` and \`only\``;
  return new ServiceError('unavailable', 'no_partition_folder', message, { source, column: name });
}

function nothingChosen(source: string, only: readonly PartitionChoice[], needsSuccess: boolean): ServiceError {
  const wanted = only
    .map((choice) => `${choice.name}: ${choice.kind === 'latest' ? 'latest' : choice.text}`)
    .join(', ');
  const marked = needsSuccess ? ' with a _SUCCESS in it' : '';
  const message = `there are files in ${source}, but none in a folder of \`only: {${wanted}}\`${marked}; write one, or say \`allow_empty: true\` for this table`;
  return new ServiceError('unavailable', 'no_files', message, { source });
}

function unlessRefused(thrown: unknown): undefined {
  if (thrown instanceof ServiceError && thrown.code === 'access_denied') return undefined;
  throw thrown;
}
