/** A Parquet file from records: row groups, page index, footer. The schema is the source's own, byte for byte. */

import type { LeafColumn } from '../parquet/index.ts';
import { type ChunkLayout, ChunkWriter } from './chunk-writer.ts';
import { ENCODINGS, type RewriteCodec } from './page-body.ts';
import { chunkBounds, columnIndexOf, offsetIndexOf } from './page-index-writer.ts';
import type { StoredBounds } from './stored-bounds.ts';
import { ThriftWriter } from './thrift-writer.ts';

const MAGIC = Buffer.from('PAR1');
const PHYSICAL_TYPES = ['BOOLEAN', 'INT32', 'INT64', 'INT96', 'FLOAT', 'DOUBLE', 'BYTE_ARRAY', 'FIXED_LEN_BYTE_ARRAY'];
const CODECS: Readonly<Record<RewriteCodec, number>> = { none: 0, snappy: 1, zstd: 6 };

/** What is written to, in order. */
export interface ByteSink {
  write(bytes: Uint8Array): Promise<void>;
}

export interface FileLayout extends ChunkLayout {
  readonly leaves: readonly LeafColumn[];
  /** `list<SchemaElement>`. */
  readonly schemaBytes: Uint8Array;
  /** `list<KeyValue>`, if there is one. */
  readonly keyValueBytes: Uint8Array | undefined;
  /** Ordinals of the leaves that the records are sorted by. */
  readonly sortedBy: readonly number[];
  readonly rowsPerGroup: number;
  /** A row group ends once its pages take as much, since they are held until it does. */
  readonly groupBytesMax: number;
  readonly createdBy: string;
}

/** Offset and length. */
type Place = readonly [number, number];

/** What is kept of a chunk until the footer is written: of its pages only the bytes of their index. */
interface WrittenChunk {
  readonly leaf: LeafColumn;
  readonly dictionaryStart: number | undefined;
  readonly dataStart: number;
  readonly bytes: number;
  readonly uncompressedBytes: number;
  readonly values: number;
  readonly nulls: number;
  readonly bounds: StoredBounds | undefined;
  readonly encodings: readonly number[];
  readonly offsetIndex: Uint8Array;
  readonly columnIndex: Uint8Array | undefined;
  readonly bloomFilter: Place | undefined;
}

interface WrittenGroup {
  readonly rows: number;
  readonly chunks: readonly WrittenChunk[];
}

interface IndexPlaces {
  readonly offsetIndex: Place;
  readonly columnIndex: Place | undefined;
}

export class FileWriter {
  readonly #sink: ByteSink;
  readonly #layout: FileLayout;
  readonly #groups: WrittenGroup[] = [];
  #chunks: readonly ChunkWriter[];
  #rows = 0;
  #offset = 0;

  constructor(sink: ByteSink, layout: FileLayout) {
    this.#sink = sink;
    this.#layout = layout;
    this.#chunks = this.#newChunks();
  }

  /** Of whole row groups. */
  get bytes(): number {
    return this.#offset;
  }

  /** Whether rows wait for the end of their row group. */
  get isInGroup(): boolean {
    return this.#rows > 0;
  }

  /** True when a row group is full, which `endGroup` must then write. */
  add(record: Buffer, from: number): boolean {
    let at = from;
    let bytes = 0;
    for (const chunk of this.#chunks) {
      at = chunk.add(record, at);
      bytes += chunk.heldBytes;
    }
    this.#rows += 1;
    return this.#rows >= this.#layout.rowsPerGroup || bytes >= this.#layout.groupBytesMax;
  }

  async endGroup(): Promise<void> {
    if (this.#rows === 0) return;
    await this.#begin();
    const chunks: WrittenChunk[] = [];
    for (const chunk of this.#chunks) chunks.push(await this.#writeChunk(chunk));
    for (const [i, chunk] of this.#chunks.entries()) {
      const filter = chunk.bloomFilter();
      const written = chunks[i];
      if (filter === undefined || written === undefined) continue;
      chunks[i] = { ...written, bloomFilter: await this.#write(filter) };
    }
    this.#groups.push({ rows: this.#rows, chunks });
    this.#chunks = this.#newChunks();
    this.#rows = 0;
  }

  async #writeChunk(chunk: ChunkWriter): Promise<WrittenChunk> {
    chunk.endPage();
    const { leaf, pages } = chunk;
    const dictionary = chunk.dictionaryPage();
    const start = this.#offset;
    if (dictionary !== undefined) await this.#write(dictionary.bytes);
    const dataStart = this.#offset;
    for (const body of chunk.bodies.splice(0)) await this.#write(body);
    const sum = (of: (page: (typeof pages)[number]) => number) => pages.reduce((all, page) => all + of(page), 0);
    const ofPages = pages.map(({ encoding }) => encoding);
    return {
      leaf,
      dictionaryStart: dictionary && start,
      dataStart,
      bytes: this.#offset - start,
      uncompressedBytes: sum((page) => page.uncompressedBytes) + (dictionary?.uncompressedBytes ?? 0),
      values: sum((page) => page.values),
      nulls: sum((page) => page.nulls),
      bounds: chunkBounds(leaf, pages),
      encodings: [...new Set([...ofPages, ENCODINGS.RLE, ...(dictionary ? [ENCODINGS.PLAIN] : [])])],
      offsetIndex: offsetIndexOf(pages, dataStart),
      columnIndex: columnIndexOf(leaf, pages),
      bloomFilter: undefined,
    };
  }

  /** Returns the length of the whole file. */
  async finish(): Promise<number> {
    await this.endGroup();
    await this.#begin();
    const places = new Map<WrittenChunk, IndexPlaces>();
    for (const chunk of this.#groups.flatMap((group) => group.chunks)) {
      places.set(chunk, {
        columnIndex: chunk.columnIndex && (await this.#write(chunk.columnIndex)),
        offsetIndex: await this.#write(chunk.offsetIndex),
      });
    }
    const [, footerBytes] = await this.#write(this.#footer(places));
    const length = Buffer.alloc(4);
    length.writeUInt32LE(footerBytes);
    await this.#write(Buffer.concat([length, MAGIC]));
    return this.#offset;
  }

  #newChunks(): readonly ChunkWriter[] {
    return this.#layout.leaves.map((leaf) => new ChunkWriter(leaf, this.#layout));
  }

  async #begin(): Promise<void> {
    if (this.#offset === 0) await this.#write(MAGIC);
  }

  async #write(bytes: Uint8Array): Promise<Place> {
    const at = this.#offset;
    await this.#sink.write(bytes);
    this.#offset += bytes.length;
    return [at, bytes.length];
  }

  /** FileMetaData */
  #footer(places: ReadonlyMap<WrittenChunk, IndexPlaces>): Uint8Array {
    const { leaves, schemaBytes, keyValueBytes, createdBy } = this.#layout;
    const thrift = new ThriftWriter();
    thrift.i32(1, 1);
    thrift.encodedList(2, schemaBytes);
    thrift.i64(
      3,
      this.#groups.reduce((rows, group) => rows + group.rows, 0),
    );
    thrift.structs(4, this.#groups, (group) => this.#rowGroup(thrift, group, places));
    if (keyValueBytes !== undefined) thrift.encodedList(5, keyValueBytes);
    thrift.binary(6, Buffer.from(createdBy));
    // Every column is in the order of its type.
    thrift.structs(7, leaves, () => thrift.struct(1, () => undefined));
    thrift.stop();
    return thrift.finish();
  }

  #rowGroup(thrift: ThriftWriter, group: WrittenGroup, places: ReadonlyMap<WrittenChunk, IndexPlaces>): void {
    const uncompressed = group.chunks.reduce((bytes, chunk) => bytes + chunk.uncompressedBytes, 0);
    thrift.structs(1, group.chunks, (chunk) => this.#columnChunk(thrift, chunk, places.get(chunk)));
    thrift.i64(2, uncompressed);
    thrift.i64(3, group.rows);
    thrift.structs(4, this.#layout.sortedBy, (column) => {
      thrift.i32(1, column);
      thrift.bool(2, false);
      thrift.bool(3, false);
    });
  }

  #columnChunk(thrift: ThriftWriter, chunk: WrittenChunk, places: IndexPlaces | undefined): void {
    thrift.i64(2, 0);
    thrift.struct(3, () => this.#columnMetaData(thrift, chunk));
    if (places === undefined) return;
    thrift.i64(4, places.offsetIndex[0]);
    thrift.i32(5, places.offsetIndex[1]);
    if (places.columnIndex === undefined) return;
    thrift.i64(6, places.columnIndex[0]);
    thrift.i32(7, places.columnIndex[1]);
  }

  #columnMetaData(thrift: ThriftWriter, chunk: WrittenChunk): void {
    const { leaf, bounds, bloomFilter } = chunk;
    thrift.i32(1, PHYSICAL_TYPES.indexOf(leaf.physicalType));
    thrift.i32s(2, chunk.encodings);
    thrift.binaries(
      3,
      leaf.path.map((name) => Buffer.from(name)),
    );
    thrift.i32(4, CODECS[this.#layout.codec]);
    thrift.i64(5, chunk.values);
    thrift.i64(6, chunk.uncompressedBytes);
    thrift.i64(7, chunk.bytes);
    thrift.i64(9, chunk.dataStart);
    if (chunk.dictionaryStart !== undefined) thrift.i64(11, chunk.dictionaryStart);
    thrift.struct(12, () => {
      thrift.i64(3, chunk.nulls);
      if (bounds === undefined) return;
      thrift.binary(5, bounds.max);
      thrift.binary(6, bounds.min);
      thrift.bool(7, bounds.maxExact);
      thrift.bool(8, bounds.minExact);
    });
    if (bloomFilter === undefined) return;
    thrift.i64(14, bloomFilter[0]);
    thrift.i32(15, bloomFilter[1]);
  }
}
