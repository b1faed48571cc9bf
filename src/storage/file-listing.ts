/**
 * Walks folders in the order in which S3 would list them: by the bytes of the whole path.
 *
 * A folder's name is compared with its `/`, so `a-b` comes before what is in `a/`, as it does in S3. Symbolic links are
 * followed, except to a folder that the walk is already inside of. What vanishes between being named and being looked
 * at is left out, as if the listing had come a moment later; a folder that may not be read is an error, since leaving
 * its files out in silence would make their rows absent.
 */

import { isUtf8 } from 'node:buffer';
import { type BigIntStats, type Dirent, readdir, stat } from 'node:fs';
import { promisify } from 'node:util';
import { ServiceError, unsupported } from '../core/index.ts';
import { abortable } from './abortable.ts';
import { errnoOf, fileError } from './file-errors.ts';
import { fileMeta } from './file-version.ts';
import { compareKeys } from './key-order.ts';
import type { ListOptions, ObjectMeta } from './object-store.ts';

const statPath = promisify(stat);
const readDirectory = promisify(
  (path: string, done: (error: NodeJS.ErrnoException | null, entries: Dirent<Buffer>[]) => void) =>
    readdir(path, { withFileTypes: true, encoding: 'buffer' }, done),
);

/** Deeper than any real layout, shallow enough for the longest path that a kernel takes. */
const DEPTH_MAX = 128;
/** Links can make few folders look like very many. */
const DIRECTORIES_MAX = 1_000_000;
/** Files looked at together: enough to hide the hop to the thread pool, few enough to stop soon. */
const STATS_AT_ONCE = 64;

interface Walk {
  readonly prefix: string;
  readonly startAfter: string | undefined;
  readonly signal: AbortSignal | undefined;
  directories: number;
}

interface Found {
  /** Absolute; a folder's ends with `/`. */
  readonly path: string;
  readonly stats: BigIntStats;
}

/** Every regular file whose path begins with `prefix`. */
export async function* listFiles(prefix: string, options: ListOptions): AsyncIterable<ObjectMeta> {
  const walk: Walk = { prefix, startAfter: options.startAfter, signal: options.signal, directories: 0 };
  const directory = prefix.slice(0, prefix.lastIndexOf('/') + 1);
  const found = await look(directory, walk);
  if (found?.stats.isDirectory()) yield* walkDirectory(directory, [identity(found.stats)], walk);
}

async function* walkDirectory(
  directory: string,
  ancestors: readonly string[],
  walk: Walk,
): AsyncGenerator<ObjectMeta, void> {
  countDirectory(directory, ancestors, walk);
  const paths = await readPaths(directory, walk);
  for (let i = 0; i < paths.length; i += STATS_AT_ONCE) {
    const batch = await Promise.all(paths.slice(i, i + STATS_AT_ONCE).map((path) => look(path, walk)));
    for (const found of batch) {
      if (found === undefined) continue;
      const { path, stats } = found;
      if (stats.isDirectory() && path.endsWith('/')) {
        const id = identity(stats);
        if (!ancestors.includes(id)) yield* walkDirectory(path, [...ancestors, id], walk);
      } else if (stats.isFile()) {
        yield fileMeta(stats, path);
      }
    }
  }
}

function countDirectory(directory: string, ancestors: readonly string[], walk: Walk): void {
  walk.signal?.throwIfAborted();
  walk.directories += 1;
  if (ancestors.length > DEPTH_MAX || walk.directories > DIRECTORIES_MAX) {
    const message = `the folders below ${walk.prefix} are more than ${DIRECTORIES_MAX} or nest deeper than ${DEPTH_MAX}; name a smaller part`;
    throw new ServiceError('tooLarge', 'too_many_folders', message, { key: directory });
  }
}

/** The paths in a folder that can matter, in their order. */
async function readPaths(directory: string, walk: Walk): Promise<string[]> {
  let entries: Dirent<Buffer>[];
  try {
    entries = await abortable(readDirectory(directory), walk.signal);
  } catch (error) {
    walk.signal?.throwIfAborted();
    if (errnoOf(error) === 'ENOENT') return [];
    throw fileError(error, directory);
  }
  const paths: string[] = [];
  for (const entry of entries) {
    const path = await pathOf(directory, entry, walk);
    if (path !== undefined && matters(path, walk)) paths.push(path);
  }
  return paths.sort(compareKeys);
}

/** With a `/` at the end for a folder, also for one behind a link. */
async function pathOf(directory: string, entry: Dirent<Buffer>, walk: Walk): Promise<string | undefined> {
  if (!isUtf8(entry.name)) {
    const message = `a file in ${directory} has a name that is not UTF-8 (${entry.name.toString('latin1')}); rename it`;
    throw unsupported(message, { key: directory });
  }
  const path = directory + entry.name.toString('utf8');
  if (entry.isDirectory()) return `${path}/`;
  if (entry.isFile()) return path;
  // A link, or a file system that tells no types.
  const found = await look(path, walk);
  return found?.stats.isDirectory() ? `${path}/` : found?.path;
}

function matters(path: string, walk: Walk): boolean {
  const { prefix, startAfter } = walk;
  const isFolder = path.endsWith('/');
  if (!path.startsWith(prefix) && !(isFolder && prefix.startsWith(path))) return false;
  if (startAfter === undefined || compareKeys(path, startAfter) > 0) return true;
  return isFolder && startAfter.startsWith(path);
}

/** Undefined for what is not there any more, and for a link that leads nowhere. */
async function look(path: string, walk: Walk): Promise<Found | undefined> {
  try {
    return { path, stats: await abortable(statPath(path, { bigint: true }), walk.signal) };
  } catch (error) {
    walk.signal?.throwIfAborted();
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errnoOf(error))) return undefined;
    throw fileError(error, path);
  }
}

function identity(stats: BigIntStats): string {
  return `${stats.dev}:${stats.ino}`;
}
