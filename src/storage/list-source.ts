/**
 * From a source to the objects that belong to it.
 *
 * Below a prefix every object counts, whatever its extension, except empty ones (folder markers, `_SUCCESS`) and what is
 * hidden by a leading `_` or `.` in any part of its path below the prefix. A glob takes what it matches, empty objects
 * again left out. A single object is taken as it is, since the user named it.
 */

import { ServiceError } from '../core/index.ts';
import { matchesGlob } from './glob.ts';
import { isHiddenPath } from './hidden-part.ts';
import type { ObjectMeta, ObjectStore, RequestOptions } from './object-store.ts';
import { type ObjectSource, type PrefixSource, parseSourceUri, type Source } from './source-uri.ts';

export interface ListSourceOptions extends RequestOptions {
  /** More objects than this are refused, since every one costs memory and a footer. */
  readonly maxObjects?: number;
  /** Told the folder, with its slash, of each `_SUCCESS` below the source: its writer says so that it is complete. */
  readonly onSuccessMarker?: ((folder: string) => void) | undefined;
}

export interface OpenedSource {
  readonly source: Source;
  readonly store: ObjectStore;
}

/** Gives the store that a source's objects lie in; made by the composition root. */
export interface StoreProvider {
  storeFor(source: Source): ObjectStore;
}

const MAX_OBJECTS = 1_000_000;
/** A glob may look at more than it takes; this many times more, and its literal start is too short. */
const LISTED_PER_OBJECT = 10;
const SUCCESS_MARKER = '/_SUCCESS';

/** Parses the URI, finds its store, and looks whether an undecided name is an object or a folder. */
export async function openSource(
  uri: string,
  stores: StoreProvider,
  options: RequestOptions = {},
): Promise<OpenedSource> {
  const parsed = parseSourceUri(uri);
  const store = stores.storeFor(parsed);
  return { source: await resolveSource(store, parsed, options), store };
}

/**
 * A name without a slash at its end is the object of that name, else the folder of that name, else `notFound`. A local
 * folder that is not there is an error too; an S3 prefix with nothing in it is an empty table, since folders are no
 * things there.
 */
export async function resolveSource(store: ObjectStore, source: Source, options: RequestOptions = {}): Promise<Source> {
  if (source.scheme === 'http') return source;
  if (source.kind === 'object') return resolveName(store, source, options);
  if (source.scheme === 'file' && source.kind === 'prefix') await requireFolder(store, source, options);
  return source;
}

/** Every object of the source, in bytewise order of key, as pages arrive. */
export async function* listSource(
  store: ObjectStore,
  source: Source,
  options: ListSourceOptions = {},
): AsyncIterable<ObjectMeta> {
  const { signal, maxObjects = MAX_OBJECTS, onSuccessMarker } = options;
  if (source.kind === 'object') {
    yield await store.head(source.key, { signal });
    return;
  }
  let listed = 0;
  let taken = 0;
  for await (const object of store.list(source.prefix, { signal })) {
    listed += 1;
    if (object.key.endsWith(SUCCESS_MARKER)) onSuccessMarker?.(object.key.slice(0, object.key.lastIndexOf('/') + 1));
    const belongs = belongsTo(source, object);
    if (belongs) taken += 1;
    if (taken > maxObjects || listed > maxObjects * LISTED_PER_OBJECT) throw tooMany(source, maxObjects, listed);
    if (belongs) yield object;
  }
}

function belongsTo(source: Exclude<Source, ObjectSource>, object: ObjectMeta): boolean {
  if (object.sizeBytes === 0) return false;
  if (source.kind === 'glob') return matchesGlob(source.glob, object.key);
  return !isHiddenPath(object.key.slice(source.prefix.length));
}

async function resolveName(store: ObjectStore, source: ObjectSource, options: RequestOptions): Promise<Source> {
  try {
    await store.head(source.key, options);
    return source;
  } catch (error) {
    if (!(error instanceof ServiceError) || error.kind !== 'notFound') throw error;
    const folder: PrefixSource = { ...placeOf(source), kind: 'prefix', prefix: `${source.key}/` };
    if (await isFolder(store, folder, error, options)) return folder;
    throw error;
  }
}

/** In S3 a folder is there when something is in it; a local one may be empty. */
async function isFolder(
  store: ObjectStore,
  folder: PrefixSource,
  notFound: ServiceError,
  options: RequestOptions,
): Promise<boolean> {
  if (folder.scheme === 'file') return notFound.context.isDirectory === true;
  for await (const _ of store.list(folder.prefix, options)) return true;
  return false;
}

async function requireFolder(store: ObjectStore, source: PrefixSource, options: RequestOptions): Promise<void> {
  try {
    await store.head(source.prefix, options);
  } catch (error) {
    if (!(error instanceof ServiceError) || error.context.isDirectory !== true) throw error;
  }
}

function placeOf({ uri, scheme, bucket }: Source): Pick<Source, 'uri' | 'scheme' | 'bucket'> {
  return { uri, scheme, bucket };
}

function tooMany(source: Source, maxObjects: number, listed: number): ServiceError {
  const message = `${source.uri} has more than ${maxObjects} objects (${listed} seen); name a smaller part or raise the limit`;
  return new ServiceError('tooLarge', 'too_many_objects', message, { uri: source.uri, maxObjects });
}
