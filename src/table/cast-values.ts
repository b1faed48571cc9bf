/** A block of a file read as the table's type: the readers that writers ask, with a cast behind each. */

import { type Block, type KeyValue, keyValueAt } from '../parquet/index.ts';
import type { Cast } from './cast.ts';
import type { ValueReader } from './json-format.ts';

export class CastValues implements ValueReader {
  readonly #block: Block;
  readonly #cast: Cast;
  /** A writer may ask twice for a row, half a value each time. */
  #row = -1;
  #value: KeyValue = 0;

  constructor(block: Block, cast: Cast) {
    this.#block = block;
    this.#cast = cast;
  }

  isNull(row: number): boolean {
    return this.#block.isNull(row);
  }

  int32At(row: number): number {
    return Number(this.#at(row));
  }

  uint32At(row: number): number {
    return Number(this.#at(row));
  }

  int64At(row: number): bigint {
    return BigInt(this.#at(row) as bigint);
  }

  uint64At(row: number): bigint {
    return BigInt(this.#at(row) as bigint);
  }

  int64LowAt(row: number): number {
    return Number(BigInt.asUintN(32, this.int64At(row)));
  }

  int64HighAt(row: number): number {
    return Number(BigInt.asIntN(32, this.int64At(row) >> 32n));
  }

  float16At(row: number): number {
    return Number(this.#at(row));
  }

  float32At(row: number): number {
    return Number(this.#at(row));
  }

  float64At(row: number): number {
    return Number(this.#at(row));
  }

  booleanAt(row: number): boolean {
    return this.#at(row) === true;
  }

  byteLengthAt(row: number): number {
    return this.bytesAt(row).length;
  }

  bytesAt(row: number): Uint8Array {
    const value = this.#at(row);
    return value instanceof Uint8Array ? value : bytesOfDecimal(BigInt(value as bigint));
  }

  utf8At(row: number): string {
    return Buffer.from(this.bytesAt(row)).toString('utf8');
  }

  #at(row: number): KeyValue {
    if (row !== this.#row) {
      this.#value = this.#cast.forward(keyValueAt(this.#block, this.#cast.from, row));
      this.#row = row;
    }
    return this.#value;
  }
}

/** Big-endian two's complement, which is how decimals on byte arrays are stored. */
function bytesOfDecimal(unscaled: bigint): Uint8Array {
  const magnitude = unscaled < 0n ? ~unscaled : unscaled;
  const width = Math.floor(magnitude.toString(16).length / 2) + 1;
  return Buffer.from(
    BigInt.asUintN(width * 8, unscaled)
      .toString(16)
      .padStart(width * 2, '0'),
    'hex',
  );
}
