/**
 * Thrift's compact protocol, as far as Parquet uses it
 * (https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md).
 *
 * There is no generated code and no generic object form: each decoder walks the fields of its struct with
 * `nextField` and keeps what it wants, so that a footer of millions of fields makes no object a field. Everything
 * here comes from outside: every length is checked against the bytes that remain before anything is made of it, and
 * skipping has a bounded depth.
 *
 * A field header is returned as one number, `id << 4 | type`, and 0 at the end of a struct. Decoders switch on it in
 * hexadecimal: 0x36 is field 3 holding an integer, 0xcc is field 12 holding a struct. A known field of an unexpected
 * type is therefore skipped like an unknown one, and then missing if it was required.
 */

import { ServiceError } from '../core/index.ts';
import { skipValue } from './thrift-skip.ts';

/** Wire types. I16 (4), I32 (5) and I64 (6) are one form on the wire, and `nextField` gives INT for all three. */
export const WIRE = {
  TRUE: 1,
  FALSE: 2,
  BYTE: 3,
  INT: 6,
  BINARY: 8,
  LIST: 9,
  STRUCT: 12,
} as const;

const text = new TextDecoder('utf-8', { ignoreBOM: true });

/** The bytes ended inside a value. A caller that holds only a part of the bytes can tell this from other damage. */
export class ThriftEndError extends ServiceError {}

export class ThriftReader {
  readonly bytes: Uint8Array;
  readonly end: number;
  offset: number;

  constructor(bytes: Uint8Array, offset = 0, end = bytes.length) {
    this.bytes = bytes;
    this.offset = offset;
    this.end = Math.min(end, bytes.length);
  }

  /** The next field header after `previous` (0 for the first), or 0 at the end of the struct. */
  nextField(previous: number): number {
    const byte = this.byte();
    let type = byte & 0x0f;
    if (type === 0) return 0;
    if (type === 4 || type === 5) type = WIRE.INT;
    const delta = byte >> 4;
    const id = delta !== 0 ? (previous >> 4) + delta : this.integer();
    if (id > 0x7fff || id < -0x8000) throw malformed(`a field id of ${id}`, this.offset);
    return (id << 4) | type;
  }

  byte(): number {
    if (this.offset >= this.end) throw this.#endsEarly(1);
    return this.bytes[this.offset++]!;
  }

  /** A signed integer of up to 64 bits. Exact to 53 bits; beyond, a double near it, which is no safe integer. */
  integer(): number {
    const first = this.byte();
    if (first < 0x80) return (first >>> 1) ^ -(first & 1);
    let low = first & 0x7f;
    let byte = 0;
    for (let shift = 7; shift < 28; shift += 7) {
      byte = this.byte();
      low |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (low >>> 1) ^ -(low & 1);
    }
    return this.#wideInteger(low);
  }

  #wideInteger(low: number): number {
    let middle = 0;
    let high = 0;
    for (let index = 4; ; index += 1) {
      const byte = this.byte();
      if (index < 8) middle |= (byte & 0x7f) << ((index - 4) * 7);
      else high |= (byte & 0x7f) << ((index - 8) * 7);
      if (byte < 0x80) break;
      if (index === 9) throw malformed('an integer of more than 64 bits', this.offset);
    }
    const half = high * 2 ** 55 + middle * 2 ** 27 + (low >>> 1);
    return (low & 1) === 0 ? half : -half - 1;
  }

  /** An unsigned varint of at most 32 bits: lengths and sizes. */
  unsigned(): number {
    let result = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte();
      result += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) {
        if (result > 0xffff_ffff) break;
        return result;
      }
    }
    throw malformed('a length of more than 32 bits', this.offset);
  }

  /** The length of a binary value, which then starts at `offset` and wholly lies in the bytes. */
  binaryLength(): number {
    const length = this.unsigned();
    if (length > this.end - this.offset) throw this.#endsEarly(length);
    return length;
  }

  /** A view of a binary value: it lives as long as the bytes it was read from. */
  binary(): Uint8Array {
    const length = this.binaryLength();
    this.offset += length;
    return this.bytes.subarray(this.offset - length, this.offset);
  }

  string(): string {
    return text.decode(this.binary());
  }

  /**
   * The number of elements of a list, which must hold `type` (BYTE for no particular integer width is INT, booleans
   * are TRUE). Each element takes at least `bytesEach` bytes, so a size that the remaining bytes cannot hold is refused.
   */
  listSize(type: number, bytesEach = 1): number {
    const header = this.byte();
    const size = header >> 4 === 15 ? this.unsigned() : header >> 4;
    const found = elementType(header & 0x0f);
    if (size !== 0 && found !== type) throw malformed(`a list of type ${found} where ${type} was due`, this.offset);
    if (size * bytesEach > this.end - this.offset) throw this.#endsEarly(size * bytesEach);
    return size;
  }

  /** Passes over a value of the type a field header named. */
  skip(type: number): void {
    const after = skipValue(this.bytes, this.offset, type & 0x0f, 0);
    if (after > this.end) throw this.#endsEarly(after - this.offset);
    this.offset = after;
  }

  #endsEarly(wanted: number): ThriftEndError {
    return new ThriftEndError(
      'corrupt',
      'corrupt',
      `a Thrift value at byte ${this.offset} needs ${wanted} bytes and ${this.end - this.offset} remain`,
    );
  }
}

function elementType(type: number): number {
  if (type === 4 || type === 5) return WIRE.INT;
  return type === WIRE.FALSE ? WIRE.TRUE : type;
}

function malformed(what: string, offset: number): ServiceError {
  return new ServiceError('corrupt', 'corrupt', `malformed Thrift: ${what} at byte ${offset}`);
}
