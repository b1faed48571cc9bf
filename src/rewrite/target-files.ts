/** The names of what a copy is made of, by which a later rewrite knows it for one. */

import type { Random } from '../core/index.ts';

/** In every folder of a copy that is whole, as Spark and Hadoop have it: readers that wait for it never see a part. */
export const SUCCESS = '_SUCCESS';

const OURS = /^([^/=]+=[^/=]*\/)*(part-[0-9]{5,}(-[0-9a-f]{8})?\.parquet|_SUCCESS)$/;

/** `path` is below the target. */
export function isOurs(path: string): boolean {
  return OURS.test(path);
}

export function partName(file: number, run = ''): string {
  return `part-${String(file).padStart(5, '0')}${run === '' ? '' : `-${run}`}.parquet`;
}

/** Eight hexadecimal digits. */
export function runName(random: Random): string {
  return Math.floor(random() * 2 ** 32)
    .toString(16)
    .padStart(8, '0');
}

/** Every folder above the files, the target itself last, so that the whole is only complete when its parts are. */
export function foldersOf(folders: Iterable<string>): readonly string[] {
  const all = new Set<string>(['']);
  for (const folder of folders) {
    for (let end = folder.indexOf('/'); end >= 0; end = folder.indexOf('/', end + 1)) all.add(folder.slice(0, end + 1));
  }
  return [...all].sort((a, b) => b.length - a.length);
}
