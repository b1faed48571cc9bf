import type { Block } from '../parquet/index.ts';

/** A block and the row of its first value: what every reader of values takes. */
export interface BlockAt {
  readonly block: Block;
  readonly firstRow: number;
}
