/** The values of one page in the encoding that takes least, and the page around them: levels, compression, header. */

import { constants, crc32, zstdCompressSync } from 'node:zlib';
import { snappyCompress } from 'hysnappy';
import type { LeafColumn } from '../parquet/index.ts';
import { appendDeltaStrings, appendDeltas, numbersOf } from './delta.ts';
import type { Dictionary } from './dictionary.ts';
import { GrowingBytes } from './growing-bytes.ts';
import { appendBits, appendCodes, appendLevels } from './levels.ts';
import { ThriftWriter } from './thrift-writer.ts';

export type RewriteCodec = 'zstd' | 'snappy' | 'none';
/** `smallest`: each page as PLAIN or as a DELTA encoding of its type, whichever takes less. */
export type RewriteEncoding = 'smallest' | 'plain';

/** Encoding's numbers. */
export const ENCODINGS = {
  PLAIN: 0,
  RLE: 3,
  DELTA_BINARY_PACKED: 5,
  DELTA_BYTE_ARRAY: 7,
  RLE_DICTIONARY: 8,
} as const;

const ZSTD_LEVEL = 3;
/** What another encoding must spare to be taken: PLAIN is read fastest. */
const SPARED_MIN = 1 / 20;

export interface PageValues {
  readonly leaf: LeafColumn;
  readonly repetition: Buffer;
  readonly definition: Buffer;
  /** PLAIN, a boolean a byte. */
  readonly plain: Buffer;
  /** Values in `plain`. */
  readonly present: number;
  /** With nulls and empty lists. */
  readonly entries: number;
  /** Codes of the values, where they are all in the dictionary. */
  readonly codes: Uint32Array | undefined;
}

export interface PageBody {
  /** Header and all. */
  readonly bytes: Buffer;
  readonly uncompressedBytes: number;
  readonly encoding: number;
}

export function pageBody(values: PageValues, codec: RewriteCodec, encoding: RewriteEncoding): PageBody {
  // A page of nothing but nulls may be the only one, and then there is no dictionary.
  if (values.codes !== undefined && values.present > 0) {
    const { codes } = values;
    return body(values, codec, ENCODINGS.RLE_DICTIONARY, (target) => appendCodes(target, codes));
  }
  const plain = body(values, codec, ENCODINGS.PLAIN, (target) => {
    if (values.leaf.physicalType === 'BOOLEAN') appendBits(target, values.plain);
    else target.append(values.plain);
  });
  if (encoding === 'plain' || values.present < 2) return plain;
  const other = deltaBody(values, codec);
  return other !== undefined && other.bytes.length < plain.bytes.length * (1 - SPARED_MIN) ? other : plain;
}

function deltaBody(values: PageValues, codec: RewriteCodec): PageBody | undefined {
  const { leaf, plain, present } = values;
  if (leaf.physicalType === 'BYTE_ARRAY') {
    return body(values, codec, ENCODINGS.DELTA_BYTE_ARRAY, (target) => appendDeltaStrings(target, plain, present));
  }
  const width = leaf.physicalType === 'INT32' ? 4 : leaf.physicalType === 'INT64' ? 8 : undefined;
  const numbers = width === undefined ? undefined : numbersOf(plain, width);
  if (numbers === undefined) return undefined;
  let fits = true;
  const deltas = body(values, codec, ENCODINGS.DELTA_BINARY_PACKED, (target) => {
    fits = appendDeltas(target, numbers, width === 4 ? 32 : 64);
  });
  return fits ? deltas : undefined;
}

function body(
  { leaf, repetition, definition, entries, plain }: PageValues,
  codec: RewriteCodec,
  encoding: number,
  appendValues: (target: GrowingBytes) => void,
): PageBody {
  const target = new GrowingBytes(plain.length + 64);
  if (leaf.maxRepetitionLevel > 0) appendLevels(target, repetition, leaf.maxRepetitionLevel);
  if (leaf.maxDefinitionLevel > 0) appendLevels(target, definition, leaf.maxDefinitionLevel);
  appendValues(target);
  const stored = compress(codec, target.written());
  const header = pageHeader(target.length, stored, (thrift) => {
    thrift.struct(5, () => {
      thrift.i32(1, entries);
      thrift.i32(2, encoding);
      thrift.i32(3, ENCODINGS.RLE);
      thrift.i32(4, ENCODINGS.RLE);
    });
  });
  return {
    bytes: Buffer.concat([header, stored]),
    uncompressedBytes: header.length + target.length,
    encoding,
  };
}

export function dictionaryBody({ values, size }: Dictionary, codec: RewriteCodec): PageBody {
  const stored = compress(codec, values.written());
  const dictionary = (thrift: ThriftWriter) => {
    thrift.struct(7, () => {
      thrift.i32(1, size);
      thrift.i32(2, ENCODINGS.PLAIN);
    });
  };
  const header = pageHeader(values.length, stored, dictionary, 2);
  return {
    bytes: Buffer.concat([header, stored]),
    uncompressedBytes: header.length + values.length,
    encoding: ENCODINGS.PLAIN,
  };
}

function compress(codec: RewriteCodec, bytes: Buffer): Uint8Array {
  if (codec === 'none') return bytes;
  if (codec === 'snappy') return snappyCompress(bytes);
  return zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL } });
}

/** PageHeader; `type` is PageType's number. */
function pageHeader(
  uncompressedBytes: number,
  stored: Uint8Array,
  ofItsType: (thrift: ThriftWriter) => void,
  type = 0,
): Uint8Array {
  const thrift = new ThriftWriter();
  thrift.i32(1, type);
  thrift.i32(2, uncompressedBytes);
  thrift.i32(3, stored.length);
  thrift.i32(4, crc32(stored) | 0);
  ofItsType(thrift);
  thrift.stop();
  return thrift.finish();
}
