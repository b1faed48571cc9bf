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
import { type ForeignFormat, foreignFormatOfKey, markerPrefixes } from './foreign-format.ts';

/** Keys looked at below a marker's prefix: a `metadata/` folder of something else may be large. */
const MARKER_KEYS_MAX = 1000;

export class TableSource {
  readonly uri: string;
  readonly store: ObjectStore;
  /** What reading the table has cost so far. */
  readonly account: StorageAccount;
  readonly #source: Source;
  readonly #immutable: boolean;

  /** Throws `invalid` on a URI that is none. */
  constructor(
    uri: string,
    stores: StoreProvider,
    account: StorageAccount = new StorageAccount(),
    { immutable = false } = {},
  ) {
    this.uri = uri;
    this.#immutable = immutable;
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
    for await (const object of listSource(this.store, source, { signal })) objects.push(object);
    if (!this.#immutable && objects.some(({ eTag }) => eTag === NO_VERSION)) throw unversioned(this.uri);
    return objects;
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

function unlessRefused(thrown: unknown): undefined {
  if (thrown instanceof ServiceError && thrown.code === 'access_denied') return undefined;
  throw thrown;
}
