/** The entry of a thread of the pool: pages in, blocks or fingerprints out, nothing kept between. No I/O happens here. */

import { move, transferableSymbol, valueSymbol } from 'piscina';
import { movedWith, type PoolTask, resultOf } from './decode-task.ts';

export default function work(task: PoolTask): unknown {
  const result = resultOf(task);
  if (!result.ok) return result;
  return move({ [transferableSymbol]: movedWith(result.outcome), [valueSymbol]: result } as never);
}
