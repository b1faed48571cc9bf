/** Opens the files of a listing together: those that are known at their version are taken over with their blocks. */

import { asServiceError } from '../core/index.ts';
import type { ObjectMeta } from '../storage/index.ts';
import type { BrokenFile, TableFile } from './table-file.ts';

/** Files opened together: their footers are small and S3 is far away. */
const OPEN_AT_ONCE = 64;

/** In the order of the objects. `open` gives a broken file as a value; what it throws fails the whole. */
export async function openFiles(
  objects: readonly ObjectMeta[],
  known: ReadonlyMap<string, TableFile>,
  open: (object: ObjectMeta) => Promise<TableFile>,
): Promise<readonly (TableFile | BrokenFile)[]> {
  const files = new Array<TableFile | BrokenFile>(objects.length);
  const queue = objects.entries();
  const faults: unknown[] = [];
  const lane = async () => {
    for (const [at, object] of queue) {
      if (faults.length > 0) return;
      try {
        files[at] = known.get(identityOf(object)) ?? (await openOne(object, open));
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
async function openOne(
  object: ObjectMeta,
  open: (object: ObjectMeta) => Promise<TableFile>,
): Promise<TableFile | BrokenFile> {
  try {
    return await open(object);
  } catch (thrown) {
    const error = asServiceError(thrown);
    if (error.kind === 'corrupt' || error.kind === 'unsupported') return { object, error };
    throw error;
  }
}

/** An object at a version. */
export function identityOf(object: ObjectMeta): string {
  return `${object.eTag} ${object.sizeBytes} ${object.key}`;
}
