/** The entry of a decode thread: pages in, blocks out, nothing kept between. No I/O happens here. */

import { move, transferableSymbol, valueSymbol } from 'piscina';
import { type DecodeTask, decodeToResult } from './decode-task.ts';

export default function decode(task: DecodeTask): unknown {
  const result = decodeToResult(task);
  if (!result.ok) return result;
  // The blocks are moved to the asking thread, not copied.
  return move({
    [transferableSymbol]: result.decoded.blocks,
    [valueSymbol]: result,
  } as never);
}
