/** A block of a file read as the table's type: the readers that writers ask, with a cast behind each. */

import { type Block, type KeyValue, keyValueAt } from '../parquet/index.ts';
import type { Cast } from './cast.ts';
import { KeyValueReader } from './key-value-reader.ts';

export class CastValues extends KeyValueReader {
  readonly #block: Block;
  readonly #cast: Cast;
  /** A writer may ask twice for a row, half a value each time. */
  #row = -1;
  #value: KeyValue = 0;

  constructor(block: Block, cast: Cast) {
    super();
    this.#block = block;
    this.#cast = cast;
  }

  override isNull(row: number): boolean {
    return this.#block.isNull(row);
  }

  protected override keyAt(row: number): KeyValue {
    if (row !== this.#row) {
      this.#value = this.#cast.forward(keyValueAt(this.#block, this.#cast.from, row));
      this.#row = row;
    }
    return this.#value;
  }
}
