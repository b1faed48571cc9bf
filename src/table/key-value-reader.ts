/** What a writer asks of a block, answered from values that are keys already: cast ones, and those of a partition folder. */

import type { KeyValue } from '../parquet/index.ts';
import type { ValueReader } from './json-format.ts';

export abstract class KeyValueReader implements ValueReader {
  abstract isNull(row: number): boolean;

  /** Of a row that is not null. */
  protected abstract keyAt(row: number): KeyValue;

  int32At(row: number): number {
    return Number(this.keyAt(row));
  }

  uint32At(row: number): number {
    return Number(this.keyAt(row));
  }

  int64At(row: number): bigint {
    return BigInt(this.keyAt(row) as bigint);
  }

  uint64At(row: number): bigint {
    return BigInt(this.keyAt(row) as bigint);
  }

  int64LowAt(row: number): number {
    return Number(BigInt.asUintN(32, this.int64At(row)));
  }

  int64HighAt(row: number): number {
    return Number(BigInt.asIntN(32, this.int64At(row) >> 32n));
  }

  float16At(row: number): number {
    return Number(this.keyAt(row));
  }

  float32At(row: number): number {
    return Number(this.keyAt(row));
  }

  float64At(row: number): number {
    return Number(this.keyAt(row));
  }

  booleanAt(row: number): boolean {
    return this.keyAt(row) === true;
  }

  byteLengthAt(row: number): number {
    return this.bytesAt(row).length;
  }

  bytesAt(row: number): Uint8Array {
    const value = this.keyAt(row);
    return value instanceof Uint8Array ? value : bytesOfDecimal(BigInt(value as bigint));
  }

  utf8At(row: number): string {
    return Buffer.from(this.bytesAt(row)).toString('utf8');
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
