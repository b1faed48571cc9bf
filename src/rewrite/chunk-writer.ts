/**
 * One column of one row group on its way out: V1 pages of few rows, each compressed and with a checksum, and what the
 * footer and the page index will say of them.
 */

import type { LeafColumn } from '../parquet/index.ts';
import { BloomWriter } from './bloom-writer.ts';
import { Dictionary } from './dictionary.ts';
import { GrowingBytes } from './growing-bytes.ts';
import { dictionaryBody, type PageBody, pageBody, type RewriteCodec, type RewriteEncoding } from './page-body.ts';
import { hasLevels, storedWidth } from './record.ts';
import { boundsOf, type Compare, isNaNAt, orderOf, type StoredBounds } from './stored-bounds.ts';

/** Of values before compression; a page holds one row at least. */
const PAGE_BYTES_MAX = 64 * 1024;

export interface ChunkLayout {
  readonly codec: RewriteCodec;
  readonly encoding: RewriteEncoding;
  readonly rowsPerPage: number;
  /** By ordinal: columns that have a dictionary, and those that have a bloom filter. */
  readonly dictionaries: ReadonlySet<number>;
  readonly bloomFilters: ReadonlySet<number>;
  readonly bloomFpp: number;
}

export interface WrittenPage {
  readonly bytes: number;
  readonly uncompressedBytes: number;
  readonly encoding: number;
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
  #pageBytes = 0;
  readonly #layout: ChunkLayout;
  readonly #width: number;
  readonly #compare: Compare | undefined;
  readonly #dictionary: Dictionary | undefined;
  readonly #bloom: BloomWriter | undefined;
  readonly #repetition = new GrowingBytes(64);
  readonly #definition = new GrowingBytes(64);
  readonly #values = new GrowingBytes(1024);
  #codes: number[] | undefined;
  #rows = 0;
  #firstRow = 0;
  #entries = 0;
  #present = 0;
  #min: readonly [number, number] | undefined;
  #max: readonly [number, number] | undefined;

  constructor(leaf: LeafColumn, layout: ChunkLayout) {
    this.leaf = leaf;
    this.#layout = layout;
    this.#width = storedWidth(leaf);
    this.#compare = orderOf(leaf);
    this.#dictionary = layout.dictionaries.has(leaf.ordinal) ? new Dictionary() : undefined;
    this.#bloom = layout.bloomFilters.has(leaf.ordinal) ? new BloomWriter(layout.bloomFpp) : undefined;
  }

  /** What is held until the row group ends. */
  get heldBytes(): number {
    const open = this.#values.length + this.#definition.length + this.#repetition.length;
    return this.#pageBytes + open + (this.#bloom?.byteSize ?? 0) + (this.#dictionary?.values.length ?? 0);
  }

  /** Takes the leaf's part of a record, and returns where the next one's begins. */
  add(record: Buffer, from: number): number {
    const isFull = this.#rows >= this.#layout.rowsPerPage || this.#values.length >= PAGE_BYTES_MAX;
    if (this.#rows > 0 && isFull) this.endPage();
    if (this.#rows === 0) this.#codes = this.#dictionary?.isFull === false ? [] : undefined;
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
    const end = start + length;
    const at = this.#values.length + start - from;
    this.#values.append(record, from, end);
    this.#present += 1;
    this.#bound(at, at + length);
    this.#bloom?.add(record.subarray(start, end));
    if (this.#codes !== undefined) this.#codes.push(this.#dictionary?.codeOf(record, from, end) ?? 0);
    return end;
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
    const { codec, encoding } = this.#layout;
    const values = {
      leaf: this.leaf,
      repetition: this.#repetition.written(),
      definition: this.#definition.written(),
      plain: this.#values.written(),
      present: this.#present,
      entries: this.#entries,
      codes: this.#codes && Uint32Array.from(this.#codes),
    };
    const page = pageBody(values, codec, encoding);
    this.bodies.push(page.bytes);
    this.#pageBytes += page.bytes.length;
    this.pages.push({
      bytes: page.bytes.length,
      uncompressedBytes: page.uncompressedBytes,
      encoding: page.encoding,
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

  /** To stand before the pages; undefined where no page has codes. */
  dictionaryPage(): PageBody | undefined {
    if (this.#dictionary === undefined || this.#dictionary.size === 0) return undefined;
    return dictionaryBody(this.#dictionary, this.#layout.codec);
  }

  bloomFilter(): Uint8Array | undefined {
    return this.#bloom?.finish();
  }

  #boundsOfPage(): StoredBounds | undefined {
    if (this.#min === undefined || this.#max === undefined) return undefined;
    const { bytes } = this.#values;
    return boundsOf(this.leaf, bytes.subarray(...this.#min), bytes.subarray(...this.#max));
  }
}
