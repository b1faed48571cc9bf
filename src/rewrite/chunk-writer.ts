/**
 * One column of one row group on its way out: PLAIN V1 pages of few rows, each compressed and with a checksum, and what
 * the footer and the page index will say of them. There is no dictionary, so that a value takes one range to read.
 */

import { constants, crc32, zstdCompressSync } from 'node:zlib';
import { snappyCompress } from 'hysnappy';
import type { LeafColumn } from '../parquet/index.ts';
import { GrowingBytes } from './growing-bytes.ts';
import { appendBits, appendLevels } from './levels.ts';
import { hasLevels, storedWidth } from './record.ts';
import { boundsOf, type Compare, isNaNAt, orderOf, type StoredBounds } from './stored-bounds.ts';
import { ThriftWriter } from './thrift-writer.ts';

export type RewriteCodec = 'zstd' | 'snappy' | 'none';

/** Of values before compression; a page holds one row at least. */
const PAGE_BYTES_MAX = 64 * 1024;
const ZSTD_LEVEL = 3;

export interface WrittenPage {
  readonly bytes: number;
  readonly uncompressedBytes: number;
  readonly firstRow: number;
  readonly values: number;
  readonly nulls: number;
  readonly bounds: StoredBounds | undefined;
}

export class ChunkWriter {
  readonly leaf: LeafColumn;
  /** The pages' bytes, headers included. */
  readonly bodies: Buffer[] = [];
  readonly pages: WrittenPage[] = [];
  bytes = 0;
  readonly #codec: RewriteCodec;
  readonly #rowsPerPage: number;
  readonly #width: number;
  readonly #compare: Compare | undefined;
  readonly #repetition = new GrowingBytes(64);
  readonly #definition = new GrowingBytes(64);
  readonly #values = new GrowingBytes(1024);
  #rows = 0;
  #firstRow = 0;
  #entries = 0;
  #present = 0;
  #min: readonly [number, number] | undefined;
  #max: readonly [number, number] | undefined;

  constructor(leaf: LeafColumn, codec: RewriteCodec, rowsPerPage: number) {
    this.leaf = leaf;
    this.#codec = codec;
    this.#rowsPerPage = rowsPerPage;
    this.#width = storedWidth(leaf);
    this.#compare = orderOf(leaf);
  }

  /** Takes the leaf's part of a record, and returns where the next one's begins. */
  add(record: Buffer, from: number): number {
    if (this.#rows >= this.#rowsPerPage || (this.#rows > 0 && this.#values.length >= PAGE_BYTES_MAX)) this.endPage();
    this.#rows += 1;
    const { leaf } = this;
    if (hasLevels(leaf)) return this.#addEntries(record, from);
    this.#entries += 1;
    if (leaf.maxDefinitionLevel === 0) return this.#addValue(record, from);
    const definition = record[from] ?? 0;
    this.#definition.byte(definition);
    return definition === 0 ? from + 1 : this.#addValue(record, from + 1);
  }

  #addEntries(record: Buffer, from: number): number {
    const { maxRepetitionLevel, maxDefinitionLevel } = this.leaf;
    const entries = record.readUInt32LE(from);
    let at = from + 4;
    if (maxRepetitionLevel > 0) {
      this.#repetition.append(record, at, at + entries);
      at += entries;
    }
    const definition = at;
    this.#definition.append(record, at, at + entries);
    at += entries;
    for (let i = 0; i < entries; i += 1) {
      if (record[definition + i] === maxDefinitionLevel) at = this.#addValue(record, at);
    }
    this.#entries += entries;
    return at;
  }

  #addValue(record: Buffer, from: number): number {
    const length = this.#width === 0 ? record.readUInt32LE(from) : this.#width;
    const start = this.#width === 0 ? from + 4 : from;
    const at = this.#values.length + start - from;
    this.#values.append(record, from, start + length);
    this.#present += 1;
    this.#bound(at, at + length);
    return start + length;
  }

  #bound(at: number, end: number): void {
    const compare = this.#compare;
    const { bytes } = this.#values;
    if (compare === undefined || isNaNAt(this.leaf, bytes, at)) return;
    const [min, max] = [this.#min, this.#max];
    if (min === undefined || compare(bytes, at, end, bytes, min[0], min[1]) < 0) this.#min = [at, end];
    if (max === undefined || compare(bytes, at, end, bytes, max[0], max[1]) > 0) this.#max = [at, end];
  }

  endPage(): void {
    if (this.#rows === 0) return;
    const { leaf } = this;
    const body = new GrowingBytes(this.#values.length + 64);
    if (leaf.maxRepetitionLevel > 0) appendLevels(body, this.#repetition.written(), leaf.maxRepetitionLevel);
    if (leaf.maxDefinitionLevel > 0) appendLevels(body, this.#definition.written(), leaf.maxDefinitionLevel);
    if (leaf.physicalType === 'BOOLEAN') appendBits(body, this.#values.written());
    else body.append(this.#values.written());
    const stored = compress(this.#codec, body.written());
    const header = pageHeader(body.length, stored, this.#entries);
    const page = Buffer.concat([header, stored]);
    this.bodies.push(page);
    this.bytes += page.length;
    this.pages.push({
      bytes: page.length,
      uncompressedBytes: header.length + body.length,
      firstRow: this.#firstRow,
      values: this.#entries,
      nulls: this.#entries - this.#present,
      bounds: this.#boundsOfPage(),
    });
    this.#firstRow += this.#rows;
    this.#rows = 0;
    this.#entries = 0;
    this.#present = 0;
    this.#min = undefined;
    this.#max = undefined;
    for (const bytes of [this.#repetition, this.#definition, this.#values]) bytes.clear();
  }

  #boundsOfPage(): StoredBounds | undefined {
    if (this.#min === undefined || this.#max === undefined) return undefined;
    const { bytes } = this.#values;
    return boundsOf(this.leaf, bytes.subarray(...this.#min), bytes.subarray(...this.#max));
  }
}

function compress(codec: RewriteCodec, bytes: Buffer): Uint8Array {
  if (codec === 'none') return bytes;
  if (codec === 'snappy') return snappyCompress(bytes);
  return zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL } });
}

/** PageHeader of a DATA_PAGE: PLAIN values, RLE levels. */
function pageHeader(uncompressedBytes: number, stored: Uint8Array, values: number): Uint8Array {
  const thrift = new ThriftWriter();
  thrift.i32(1, 0);
  thrift.i32(2, uncompressedBytes);
  thrift.i32(3, stored.length);
  thrift.i32(4, crc32(stored) | 0);
  thrift.struct(5, () => {
    thrift.i32(1, values);
    thrift.i32(2, 0);
    thrift.i32(3, 3);
    thrift.i32(4, 3);
  });
  thrift.stop();
  return thrift.finish();
}
