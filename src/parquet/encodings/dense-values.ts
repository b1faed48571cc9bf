/**
 * What every encoding decodes to: the values that are not null, one after the other, in one of three shapes.
 *
 * Blocks are cut from this. A shape may point into the page itself (PLAIN pages are never copied before the cut).
 */

import { corrupt } from '../../core/index.ts';

export type DenseValues = FixedValues | BytesValues | CodeValues;

export interface FixedValues {
  readonly kind: 'FIXED';
  readonly count: number;
  /** Bytes of one value. */
  readonly width: number;
  /** At least count x width bytes, little-endian as Parquet stores them. */
  readonly data: Uint8Array;
}

export interface BytesValues {
  readonly kind: 'BYTES';
  readonly count: number;
  readonly data: Uint8Array;
  /** Value i is `data[offsets[i] .. offsets[i + 1] - gap)`; count + 1 elements at least. */
  readonly offsets: Uint32Array;
  /** Bytes between one value's end and the next one's start: PLAIN keeps its 4-byte lengths there. */
  readonly gap: 0 | 4;
}

export interface CodeValues {
  readonly kind: 'CODES';
  readonly count: number;
  readonly codes: Uint32Array;
  readonly dictionaryRows: number;
}

/** The bytes of `count` fixed-width values, checked to be there. */
export function fixedValues(data: Uint8Array, width: number, count: number): FixedValues {
  if (count * width > data.length) {
    throw corrupt(`${count} values of ${width} bytes do not fit in the ${data.length} bytes of the page`);
  }
  return { kind: 'FIXED', count, width, data };
}
