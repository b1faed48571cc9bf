/**
 * What memory the process may take, and what of that is the cache's by default.
 *
 * A container's limit stands in its cgroup, and any group above may have a lower one: each is looked at, from the
 * process's own up to the root. Version 1 has a hierarchy of its own for memory, version 2 one for all; a container often sees its own
 * group mounted as the root, while `/proc/self/cgroup` still names its path on the host. Such paths are not there and
 * are passed over, so that what is there counts.
 */

import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { dirname, join } from 'node:path';

/**
 * What a server takes beside `cache.memory`: Node and V8, decode threads, sockets, buffers that wait for a collection.
 * `npm run bench -- soak` prints it by owner; docs/operations.md has the table.
 */
export const BESIDE_CACHE_BYTES: number = 512 * 2 ** 20;
/** Of the limit, what cache and the rest take together by default: above it the system begins to take back pages. */
const USED_SHARE = 0.85;
/** However little there is: less than this is no cache worth the name. */
const DEFAULT_BYTES_MIN = 32 * 2 ** 20;

/** The least of the machine's memory and the limits of the process's cgroups. `root` is for tests. */
export function memoryLimitBytes(root = '/', machineBytes: number = totalmem()): number {
  const limits = cgroupFolders(root).flatMap(({ folder, files }) => files.map((file) => limitIn(join(folder, file))));
  return Math.min(machineBytes, ...limits);
}

/** Half of the limit, or less where that would not leave what the process takes beside. */
export function defaultCacheBytes(limitBytes: number): number {
  const left = USED_SHARE * limitBytes - BESIDE_CACHE_BYTES;
  return Math.floor(Math.max(Math.min(limitBytes / 2, left), Math.min(DEFAULT_BYTES_MIN, limitBytes / 4)));
}

/** What an operator should know of a cache that does not fit beside the rest; undefined where it does. */
export function memoryWarning(cacheBytes: number, limitBytes: number): string | undefined {
  if (cacheBytes + BESIDE_CACHE_BYTES <= limitBytes) return undefined;
  const fitting = defaultCacheBytes(limitBytes);
  const advice = fitting < cacheBytes ? `without cache.memory it would be ${mib(fitting)}` : 'give it more memory';
  return (
    `warning: cache.memory is ${mib(cacheBytes)}, a busy server takes up to ${mib(BESIDE_CACHE_BYTES)} beside it, and ` +
    `this container or machine has ${mib(limitBytes)}: the system may kill it; ${advice}`
  );
}

const mib = (bytes: number) => `${Math.floor(bytes / 2 ** 20)}MiB`;

interface CgroupFolder {
  readonly folder: string;
  readonly files: readonly string[];
}

/** The process's groups that may bound its memory, its own first. */
function cgroupFolders(root: string): readonly CgroupFolder[] {
  const mount = join(root, 'sys/fs/cgroup');
  return textOf(join(root, 'proc/self/cgroup'))
    .split('\n')
    .flatMap((line): readonly CgroupFolder[] => {
      const [id, controllers = '', ...path] = line.split(':');
      const group = path.join(':');
      if (controllers.split(',').includes('memory'))
        return upwards(join(mount, 'memory'), group, ['memory.limit_in_bytes']);
      if (id !== '0' || controllers !== '') return [];
      // Beside version 1 the hierarchy of version 2 is mounted below, and then seldom has memory.
      return [mount, join(mount, 'unified')].flatMap((top) => upwards(top, group, ['memory.max', 'memory.high']));
    });
}

function upwards(top: string, group: string, files: readonly string[]): readonly CgroupFolder[] {
  const folders: CgroupFolder[] = [];
  for (let path = join('/', group); ; path = dirname(path)) {
    folders.push({ folder: join(top, path), files });
    if (path === '/') return folders;
  }
}

/** `max`, and the huge number by which version 1 says the same, are no limit; neither is a file that is not there. */
function limitIn(path: string): number {
  const bytes = Number(textOf(path).trim() || 'none');
  return bytes > 0 ? bytes : Number.POSITIVE_INFINITY;
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
