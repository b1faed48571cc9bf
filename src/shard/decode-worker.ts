/** The entry of a thread of the pool: pages in, blocks or fingerprints out, nothing kept between. No I/O
 * but that on runs of key indexes that are too large for memory. */

import { move, transferableSymbol, valueSymbol } from 'piscina';
import { loadDecompressors } from '../parquet/index.ts';
import { movedWith, type PoolTask, resultOf } from './decode-task.ts';

loadDecompressors();

export default function work(task: PoolTask): unknown {
  const result = resultOf(task);
  // Given at once, not at a collection: the page came as this thread's own.
  if ('page' in task && task.page.buffer instanceof ArrayBuffer) task.page.buffer.transfer(0);
  if (!result.ok) return result;
  return move({ [transferableSymbol]: movedWith(result.outcome), [valueSymbol]: result } as never);
}
