/**
 * VARIANT values: self-describing binary, as JSON text.
 *
 * https://github.com/apache/parquet-format/blob/master/VariantEncoding.md. Scalars take the forms that columns of their
 * type have. A value is data from outside: every offset is checked, what is read twice is counted twice against the
 * value's own length (offsets that overlap could unfold a small value to a huge text), and depth is bounded.
 */

import { corrupt, unsupported } from '../core/index.ts';
import { formatDate, formatLongTime, formatLongTimestamp } from './calendar.ts';
import { formatDecimal } from './decimal.ts';
import { base64, formatUuid, type JsonOptions } from './json-format.ts';
import { shortestFloat32 } from './short-float.ts';

const MAX_DEPTH = 200;
/** Names of fields in one value, which a dictionary lets a small value repeat. */
const MAX_NAME_CHARACTERS = 64 * 2 ** 20;
const MAX_DECIMAL_SCALE = 38;

/** The names that the objects of a value refer to. */
export class VariantMetadata {
  readonly #bytes: Buffer;
  readonly #offsetSize: number;
  readonly #size: number;
  readonly #namesAt: number;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    const header = bytes[0] ?? 0;
    if ((header & 0x0f) !== 1) throw corrupt(`the metadata of a variant has version ${header & 0x0f}, not 1`);
    this.#offsetSize = (header >>> 6) + 1;
    this.#size = uint(this.#bytes, 1, this.#offsetSize);
    this.#namesAt = 1 + this.#offsetSize * (this.#size + 2);
    if (this.#namesAt > bytes.length) throw corrupt(`the metadata of a variant ends before its ${this.#size} names`);
  }

  name(id: number): string {
    if (id >= this.#size) throw corrupt(`a variant refers to name ${id} of ${this.#size}`);
    const at = 1 + this.#offsetSize * (id + 1);
    const start = this.#namesAt + uint(this.#bytes, at, this.#offsetSize);
    const end = this.#namesAt + uint(this.#bytes, at + this.#offsetSize, this.#offsetSize);
    if (start > end || end > this.#bytes.length) throw corrupt('a name of a variant lies outside of its metadata');
    return this.#bytes.toString('utf8', start, end);
  }
}

/** The fields of an object, by name; undefined where the value is no object. */
export function variantFields(
  value: Uint8Array,
  metadata: VariantMetadata,
  json: JsonOptions,
): ReadonlyMap<string, string> | undefined {
  return new VariantReader(value, metadata, json).fields();
}

export function variantText(value: Uint8Array, metadata: VariantMetadata, json: JsonOptions): string {
  return new VariantReader(value, metadata, json).text(0, 0);
}

const OBJECT = 2;

class VariantReader {
  readonly #bytes: Buffer;
  readonly #metadata: VariantMetadata;
  readonly #json: JsonOptions;
  /** Bytes that may still be read. */
  #left: number;
  #nameCharacters = 0;

  constructor(value: Uint8Array, metadata: VariantMetadata, json: JsonOptions) {
    this.#bytes = Buffer.from(value.buffer, value.byteOffset, value.length);
    this.#left = value.length;
    this.#metadata = metadata;
    this.#json = json;
  }

  fields(): ReadonlyMap<string, string> | undefined {
    return ((this.#bytes[0] ?? 0) & 3) === OBJECT ? this.#object(0, 0) : undefined;
  }

  text(at: number, depth: number): string {
    if (depth > MAX_DEPTH) throw unsupported(`a variant nests more than ${MAX_DEPTH} deep`);
    const header = this.#take(at, 1)[0] as number;
    switch (header & 3) {
      case 0:
        return this.#primitive(header >>> 2, at + 1);
      case 1:
        return JSON.stringify(this.#utf8(at + 1, header >>> 2));
      case OBJECT:
        return objectText(this.#object(at, depth));
      default:
        return this.#array(header >>> 2, at + 1, depth);
    }
  }

  #object(at: number, depth: number): ReadonlyMap<string, string> {
    const header = (this.#bytes[at] ?? 0) >>> 2;
    const offsetSize = (header & 3) + 1;
    const idSize = ((header >>> 2) & 3) + 1;
    const countSize = (header & 16) === 0 ? 1 : 4;
    const count = uint(this.#take(at + 1, countSize), 0, countSize);
    const ids = at + 1 + countSize;
    const offsets = ids + count * idSize;
    const values = offsets + (count + 1) * offsetSize;
    this.#take(ids, values - ids);
    const fields = new Map<string, string>();
    for (let i = 0; i < count; i++) {
      const name = this.#name(uint(this.#bytes, ids + i * idSize, idSize));
      fields.set(name, this.text(values + uint(this.#bytes, offsets + i * offsetSize, offsetSize), depth + 1));
    }
    return fields;
  }

  #array(header: number, at: number, depth: number): string {
    const offsetSize = (header & 3) + 1;
    const countSize = (header & 4) === 0 ? 1 : 4;
    const count = uint(this.#take(at, countSize), 0, countSize);
    const offsets = at + countSize;
    const values = offsets + (count + 1) * offsetSize;
    this.#take(offsets, values - offsets);
    let text = '[';
    for (let i = 0; i < count; i++) {
      const offset = uint(this.#bytes, offsets + i * offsetSize, offsetSize);
      text += `${i === 0 ? '' : ','}${this.text(values + offset, depth + 1)}`;
    }
    return `${text}]`;
  }

  #primitive(type: number, at: number): string {
    switch (type) {
      case 0:
        return 'null';
      case 1:
        return 'true';
      case 2:
        return 'false';
      case 3:
      case 4:
      case 5:
        return `${this.#int(at, 2 ** (type - 3))}`;
      case 6:
        return this.#int64(at);
      case 7:
        return this.#float(this.#take(at, 8).readDoubleLE(0));
      case 8:
      case 9:
      case 10:
        return this.#decimal(at, 4 * 2 ** (type - 8));
      case 11:
        return `"${formatDate(this.#int(at, 4))}"`;
      case 12:
      case 13:
        return `"${formatLongTimestamp(this.#long(at), 'MICROS')}${type === 12 ? 'Z' : ''}"`;
      case 14:
        return this.#float(shortestFloat32(this.#take(at, 4).readFloatLE(0)));
      case 15:
        return `"${base64(this.#take(at + 4, uint(this.#take(at, 4), 0, 4)))}"`;
      case 16:
        return JSON.stringify(this.#utf8(at + 4, uint(this.#take(at, 4), 0, 4)));
      case 17:
        return `"${formatLongTime(this.#long(at), 'MICROS')}"`;
      case 18:
      case 19:
        return `"${formatLongTimestamp(this.#long(at), 'NANOS')}${type === 18 ? 'Z' : ''}"`;
      case 20:
        return `"${formatUuid(this.#take(at, 16))}"`;
      default:
        throw unsupported(`a variant holds a value of type ${type}, which this version does not know`);
    }
  }

  #int(at: number, bytes: number): number {
    return this.#take(at, bytes).readIntLE(0, bytes);
  }

  #long(at: number): bigint {
    return this.#take(at, 8).readBigInt64LE(0);
  }

  #int64(at: number): string {
    const text = `${this.#long(at)}`;
    return this.#json.int64 === 'string' ? `"${text}"` : text;
  }

  #float(value: number): string {
    if (Number.isFinite(value)) return Object.is(value, -0) ? '-0' : `${value}`;
    return this.#json.nonfinite === 'string' ? `"${value}"` : 'null';
  }

  #decimal(at: number, bytes: number): string {
    const scale = this.#take(at, 1)[0] as number;
    if (scale > MAX_DECIMAL_SCALE) throw corrupt(`a variant holds a decimal of scale ${scale}`);
    const unscaled = this.#take(at + 1, bytes);
    const words = bytes === 4 ? BigInt(unscaled.readInt32LE(0)) : unscaled.readBigInt64LE(bytes - 8);
    const value = bytes === 16 ? (words << 64n) | unscaled.readBigUInt64LE(0) : words;
    return `"${formatDecimal(value, scale)}"`;
  }

  #utf8(at: number, length: number): string {
    return this.#take(at, length).toString('utf8');
  }

  #name(id: number): string {
    const name = this.#metadata.name(id);
    this.#nameCharacters += name.length;
    if (this.#nameCharacters > MAX_NAME_CHARACTERS) {
      throw unsupported(`the names of a variant's fields take more than ${MAX_NAME_CHARACTERS} characters together`);
    }
    return name;
  }

  #take(at: number, length: number): Buffer {
    if (at + length > this.#bytes.length) throw corrupt('a variant reaches beyond its end');
    this.#left -= length;
    if (this.#left < 0) throw corrupt('the parts of a variant overlap');
    return this.#bytes.subarray(at, at + length);
  }
}

export function objectText(fields: ReadonlyMap<string, string>): string {
  let text = '{';
  for (const [name, value] of fields) text += `${text === '{' ? '' : ','}${JSON.stringify(name)}:${value}`;
  return `${text}}`;
}

/** One to four bytes, little-endian. */
function uint(bytes: Buffer, at: number, size: number): number {
  if (at + size > bytes.length) throw corrupt('a variant ends in the middle of a number');
  return bytes.readUIntLE(at, size);
}
