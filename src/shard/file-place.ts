/** Where in a file a fault is: put into the errors of what reads it. */

import { type ErrorContext, ServiceError } from '../core/index.ts';
import type { ChunkBlocks, TableFile } from '../table/index.ts';

export function placeOf(file: TableFile, chunk: ChunkBlocks, page?: number): ErrorContext {
  return {
    file: file.object.key,
    rowGroup: chunk.rowGroup,
    column: chunk.chunk.leaf.name,
    ...(page === undefined ? {} : { page }),
  };
}

/** Runs a step whose faults should say where in the file they are. */
export async function inContext<T>(context: ErrorContext, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (thrown) {
    if (!(thrown instanceof ServiceError)) throw thrown;
    throw locate(thrown, context);
  }
}

/** The context goes into the message too, since people read messages. */
function locate(error: ServiceError, context: ErrorContext): ServiceError {
  if (error.context.file !== undefined || (error.kind !== 'corrupt' && error.kind !== 'unsupported')) {
    return error.with(context);
  }
  const where = Object.entries(context).map(([name, value]) => `${name} ${String(value)}`);
  return new ServiceError(
    error.kind,
    error.code,
    `${error.message} (${where.join(', ')})`,
    {
      ...context,
      ...error.context,
    },
    error.cause,
  );
}
