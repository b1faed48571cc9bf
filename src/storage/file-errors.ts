/** What the operating system says of a file, as the errors of an object store. */

import { ServiceError } from '../core/index.ts';
import type { ObjectMeta } from './object-store.ts';

const MISSING = new Set(['ENOENT', 'ENOTDIR', 'ENAMETOOLONG']);

/** The error of an operation that needs the file to be there at no known version: `head` and `list`. */
export function fileError(thrown: unknown, path: string): ServiceError {
  if (thrown instanceof ServiceError) return thrown;
  const code = errnoOf(thrown);
  const context = { key: path, errno: code };
  if (MISSING.has(code)) {
    return new ServiceError(
      'notFound',
      'object_not_found',
      `there is no file ${path}; check the path`,
      context,
      thrown,
    );
  }
  if (code === 'EISDIR') return notAFile(path, true);
  if (code === 'EACCES' || code === 'EPERM') {
    const message = `${path} may not be read by this user; check the permissions of the file and of the folders above it`;
    return new ServiceError('unavailable', 'access_denied', message, context, thrown);
  }
  if (code === 'EMFILE' || code === 'ENFILE') {
    const message = `${path} cannot be opened, since too many files are open; raise ulimit -n`;
    return new ServiceError('unavailable', 'too_many_open_files', message, { ...context, retryable: true }, thrown);
  }
  if (code === 'ELOOP') {
    const message = `${path} cannot be reached: its symbolic links form a loop or a chain too long`;
    return new ServiceError('unavailable', 'symbolic_link_loop', message, context, thrown);
  }
  const message = `${path} cannot be read: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
  return new ServiceError('unavailable', 'unavailable', message, context, thrown);
}

/** The error of a read at a known version, where a file that is gone has changed. */
export function readError(thrown: unknown, object: ObjectMeta): ServiceError {
  const error = fileError(thrown, object.key);
  return error.kind === 'notFound' ? changed(object, 'is gone') : error;
}

export function changed(object: ObjectMeta, what: string): ServiceError {
  const message = `${object.key} ${what}, since it was listed; list again and read the new version`;
  return new ServiceError('changed', 'changed', message, { key: object.key, eTag: object.eTag });
}

/** For an object store a folder is no object; `isDirectory` tells those who can do with one. */
export function notAFile(path: string, isDirectory: boolean): ServiceError {
  const what = isDirectory ? 'a folder' : 'a special file (a device, pipe or socket)';
  const hint = isDirectory ? 'end its name with / to mean what is in it' : 'name a regular file';
  const message = `${path} is ${what}, not a file; ${hint}`;
  return new ServiceError('notFound', 'object_not_found', message, { key: path, isDirectory });
}

export function errnoOf(thrown: unknown): string {
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined;
  return typeof code === 'string' ? code : 'unknown';
}
