/** What the system says of a write, for people: a full disk is their matter, and all else is told as it came. */

import { ServiceError } from '../core/index.ts';

const FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/** `what` lies in the folder. */
export function diskFault(thrown: unknown, folder: string, what: string): unknown {
  const { code = '', message } = thrown as NodeJS.ErrnoException;
  if (!FULL.has(code)) return thrown;
  const advice = what === 'the target' ? 'make room there' : 'make room there, or name another by --temporary';
  const text = `there is no room for ${what} in ${folder} (${message}); ${advice}. Nothing was written`;
  return new ServiceError('unavailable', 'disk_full', text, { folder, errno: code }, thrown);
}
