/**
 * Split-block bloom filters (https://github.com/apache/parquet-format/blob/master/BloomFilter.md): a chunk whose filter
 * lacks the key's hash holds no such value. A key that has more than one stored form, or none that is certain, is
 * answered with "may hold": NaN, decimals of any length, half floats.
 */

import { type ByteRange, copyBytes, corrupt, type ServiceError } from '../core/index.ts';
import { hasBloomBits } from './bloom-bits.ts';
import { type KeyValue, keyClassOf } from './compare.ts';
import type { ColumnChunk } from './file-index.ts';
import type { LeafColumn } from './schema.ts';
import { ThriftEndError, ThriftReader, WIRE } from './thrift.ts';
import { xxhash64 } from './xxhash64.ts';

/** The format's advice is to stay below 128 MiB; longer filters cost more than the pages they spare. */
const MAX_BLOOM_FILTER_BYTES = 128 * 2 ** 20;
const BLOCK_BYTES = 32;
const MAX_HEADER_BYTES = 1024;

export type DecodedBloomFilter =
  | { readonly kind: 'data'; readonly filter: BloomFilter }
  | { readonly kind: 'needs'; readonly ranges: readonly ByteRange[] }
  /** Of an algorithm, hash or compression this version does not know, so that it says nothing. */
  | { readonly kind: 'unknown' };

/**
 * Decodes the filter that starts with `bytes`, which lie at the start of the chunk's `bloomFilterRange`. Where the
 * footer did not say how long it is, the answer may be the exact range to ask with again.
 */
export function decodeBloomFilter(bytes: Uint8Array, chunk: ColumnChunk, fileLength: number): DecodedBloomFilter {
  const start = chunk.bloomFilterRange?.start ?? 0;
  const fault = (why: string): ServiceError =>
    corrupt(`the bloom filter of column ${chunk.leaf.name} ${why}`, {
      rowGroup: chunk.rowGroup,
      column: chunk.leaf.name,
    });
  const reader = new ThriftReader(bytes, 0, Math.min(bytes.length, MAX_HEADER_BYTES));
  let header: Header;
  try {
    header = readHeader(reader);
  } catch (error) {
    if (!(error instanceof ThriftEndError)) throw error;
    if (chunk.bloomFilterLengthKnown || bytes.length >= MAX_HEADER_BYTES || start + bytes.length >= fileLength) {
      throw fault('ends inside its header');
    }
    return { kind: 'needs', ranges: [{ start, end: Math.min(fileLength, start + MAX_HEADER_BYTES) }] };
  }
  if (!header.isKnown) return { kind: 'unknown' };
  const { numBytes } = header;
  if (numBytes <= 0 || numBytes % BLOCK_BYTES !== 0) throw fault(`is said to have ${numBytes} bytes of bits`);
  if (numBytes > MAX_BLOOM_FILTER_BYTES) return { kind: 'unknown' };
  const end = reader.offset + numBytes;
  if (start + end > fileLength) throw fault('is said to reach beyond the file');
  if (end > bytes.length) {
    if (chunk.bloomFilterLengthKnown) throw fault('is longer than the footer says');
    return { kind: 'needs', ranges: [{ start, end: start + end }] };
  }
  return { kind: 'data', filter: new BloomFilter(chunk.leaf, copyBytes(bytes, reader.offset, end)) };
}

interface Header {
  readonly numBytes: number;
  readonly isKnown: boolean;
}

/** BloomFilterHeader. Each of its unions has one member, of id 1, that is known. */
function readHeader(reader: ThriftReader): Header {
  let numBytes = -1;
  const known = [false, false, false];
  for (let field = reader.nextField(0); field !== 0; field = reader.nextField(field)) {
    if (field === 0x16) numBytes = reader.integer();
    else if (field === 0x2c || field === 0x3c || field === 0x4c) known[(field >> 4) - 2] = readFirstMember(reader);
    else reader.skip(field);
  }
  return { numBytes, isKnown: known.every(Boolean) };
}

function readFirstMember(reader: ThriftReader): boolean {
  let isFirst = false;
  for (let field = reader.nextField(0); field !== 0; field = reader.nextField(field)) {
    isFirst = field === ((1 << 4) | WIRE.STRUCT);
    reader.skip(field);
  }
  return isFirst;
}

export class BloomFilter {
  readonly #leaf: LeafColumn;
  readonly #words: Uint32Array;

  /** `bits` starts at a multiple of 4 of its buffer and has whole blocks of 32 bytes. */
  constructor(leaf: LeafColumn, bits: Uint8Array) {
    this.#leaf = leaf;
    this.#words = new Uint32Array(bits.buffer, bits.byteOffset, bits.length / 4);
  }

  /** Takes a copy of bits that `serialise` gave. */
  static load(bits: Uint8Array, leaf: LeafColumn): BloomFilter | undefined {
    return bits.length === 0 || bits.length % BLOCK_BYTES !== 0 ? undefined : new BloomFilter(leaf, copyBytes(bits));
  }

  /** The filter's own bits, not a copy. */
  serialise(): Uint8Array {
    return new Uint8Array(this.#words.buffer, this.#words.byteOffset, this.#words.byteLength);
  }

  get byteSize(): number {
    return 128 + this.#words.byteLength;
  }

  /** False proves that no row of the chunk has this value. */
  mightContain(key: KeyValue): boolean {
    const forms = storedForms(this.#leaf, key);
    return forms === undefined || forms.some((form) => this.mightContainBytes(form));
  }

  /** The same for a value as it stands in a PLAIN page, without a length before it. */
  mightContainBytes(bytes: Uint8Array): boolean {
    return hasBloomBits(this.#words, xxhash64(bytes));
  }
}

/** Every form in which a value equal to the key can be stored, or undefined where they cannot all be told. */
function storedForms(leaf: LeafColumn, key: KeyValue): Uint8Array[] | undefined {
  const keyClass = keyClassOf(leaf);
  if (keyClass === 'int32' && typeof key === 'number') return [littleEndian(4, (view) => view.setInt32(0, key, true))];
  if (keyClass === 'int64' && typeof key === 'bigint') {
    return [littleEndian(8, (view) => view.setBigInt64(0, key, true))];
  }
  if (keyClass === 'float' && typeof key === 'number') return floatForms(leaf, key);
  if (keyClass === 'bytes' && key instanceof Uint8Array) return [key];
  if (keyClass === 'decimal' && typeof key === 'bigint') return decimalForms(leaf, key);
  return undefined;
}

/** Zeros of both signs are equal and hash apart. */
function floatForms(leaf: LeafColumn, key: number): Uint8Array[] | undefined {
  if (Number.isNaN(key) || leaf.physicalType === 'FIXED_LEN_BYTE_ARRAY') return undefined;
  const values = key === 0 ? [0, -0] : [key];
  if (leaf.physicalType === 'FLOAT') {
    return values.map((value) => littleEndian(4, (view) => view.setFloat32(0, value, true)));
  }
  return values.map((value) => littleEndian(8, (view) => view.setFloat64(0, value, true)));
}

/** Only a fixed length makes the two's complement of a number unique. */
function decimalForms(leaf: LeafColumn, key: bigint): Uint8Array[] | undefined {
  const { typeLength } = leaf;
  if (typeLength === 0 || typeLength > 256 || BigInt.asIntN(8 * typeLength, key) !== key) return undefined;
  const bytes = new Uint8Array(typeLength);
  let rest = key;
  for (let index = typeLength - 1; index >= 0; index -= 1) {
    bytes[index] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return [bytes];
}

function littleEndian(length: number, write: (view: DataView) => void): Uint8Array {
  const bytes = new Uint8Array(length);
  write(new DataView(bytes.buffer));
  return bytes;
}
