/** What keeps a table from its next snapshot, as those who ask the table are told. */

import { ServiceError } from '../core/index.ts';

/** Storage that cannot be reached says nothing of the objects; storage that refuses or has nothing does. */
export function isOutOfReach({ code, kind }: ServiceError): boolean {
  return kind === 'timeout' || code === 'unavailable' || code === 'request_timeout';
}

/** Whatever keeps a table from a snapshot is the server's side, however storage called it: a missing file is no 404. */
export function behindTheServer(error: ServiceError, source: string): ServiceError {
  if (error.kind === 'notFound') {
    return new ServiceError(
      'unavailable',
      'no_files',
      `there is nothing at ${source}: ${error.message}`,
      { source },
      error,
    );
  }
  const callers: readonly string[] = ['invalid', 'unauthorized', 'tooLarge', 'overloaded'];
  if (!callers.includes(error.kind)) return error;
  return new ServiceError('unavailable', error.code, error.message, error.context, error);
}

export function goneTable(name: string): ServiceError {
  const message = `table ${name} was taken out of the configuration or changed there; ask again`;
  return new ServiceError('changed', 'changed', message, { table: name });
}
