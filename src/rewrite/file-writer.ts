/** A Parquet file from records: row groups, page index, footer. The schema is the source's own, byte for byte. */

import type { LeafColumn } from '../parquet/index.ts';
import { ChunkWriter, type RewriteCodec } from './chunk-writer.ts';
import { chunkBounds, columnIndexOf, offsetIndexOf } from './page-index-writer.ts';
import { ThriftWriter } from './thrift-writer.ts';

const MAGIC = Buffer.from('PAR1');
const PHYSICAL_TYPES = ['BOOLEAN', 'INT32', 'INT64', 'INT96', 'FLOAT', 'DOUBLE', 'BYTE_ARRAY', 'FIXED_LEN_BYTE_ARRAY'];
const CODECS: Readonly<Record<RewriteCodec, number>> = { none: 0, snappy: 1, zstd: 6 };

/** What is written to, in order. */
export interface ByteSink {
  write(bytes: Uint8Array): Promise<void>;
}

export interface FileLayout {
  readonly leaves: readonly LeafColumn[];
  /** `list<SchemaElement>`. */
  readonly schemaBytes: Uint8Array;
  /** `list<KeyValue>`, if there is one. */
  readonly keyValueBytes: Uint8Array | undefined;
  /** Ordinals of the leaves that the records are sorted by. */
  readonly sortedBy: readonly number[];
  readonly codec: RewriteCodec;
  readonly rowsPerPage: number;
  readonly rowsPerGroup: number;
  /** A row group ends once its pages take as much, since they are held until it does. */
  readonly groupBytesMax: number;
  readonly createdBy: string;
}

interface WrittenChunk {
  readonly chunk: Pick<ChunkWriter, 'leaf' | 'pages' | 'bytes'>;
  readonly start: number;
}

interface WrittenGroup {
  readonly rows: number;
  readonly chunks: readonly WrittenChunk[];
}

interface IndexPlaces {
  readonly offsetIndex: readonly [number, number];
  readonly columnIndex: readonly [number, number] | undefined;
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
      bytes += chunk.bytes;
    }
    this.#rows += 1;
    return this.#rows >= this.#layout.rowsPerGroup || bytes >= this.#layout.groupBytesMax;
  }

  async endGroup(): Promise<void> {
    if (this.#rows === 0) return;
    const chunks: WrittenChunk[] = [];
    for (const chunk of this.#chunks) {
      chunk.endPage();
      await this.#begin();
      chunks.push({ chunk: { leaf: chunk.leaf, pages: chunk.pages, bytes: chunk.bytes }, start: this.#offset });
      for (const body of chunk.bodies.splice(0)) await this.#write(body);
    }
    this.#groups.push({ rows: this.#rows, chunks });
    this.#chunks = this.#newChunks();
    this.#rows = 0;
  }

  /** Returns the length of the whole file. */
  async finish(): Promise<number> {
    await this.endGroup();
    await this.#begin();
    const places = new Map<WrittenChunk, IndexPlaces>();
    for (const chunk of this.#groups.flatMap((group) => group.chunks)) {
      const { leaf, pages } = chunk.chunk;
      const columnIndex = columnIndexOf(leaf, pages);
      places.set(chunk, {
        columnIndex: columnIndex && (await this.#write(columnIndex)),
        offsetIndex: await this.#write(offsetIndexOf(pages, chunk.start)),
      });
    }
    const [, footerBytes] = await this.#write(this.#footer(places));
    const length = Buffer.alloc(4);
    length.writeUInt32LE(footerBytes);
    await this.#write(Buffer.concat([length, MAGIC]));
    return this.#offset;
  }

  #newChunks(): readonly ChunkWriter[] {
    const { leaves, codec, rowsPerPage } = this.#layout;
    return leaves.map((leaf) => new ChunkWriter(leaf, codec, rowsPerPage));
  }

  async #begin(): Promise<void> {
    if (this.#offset === 0) await this.#write(MAGIC);
  }

  async #write(bytes: Uint8Array): Promise<readonly [number, number]> {
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
    const uncompressed = group.chunks.reduce((bytes, { chunk }) => bytes + uncompressedBytes(chunk), 0);
    thrift.structs(1, group.chunks, (chunk) => this.#columnChunk(thrift, chunk, places.get(chunk)));
    thrift.i64(2, uncompressed);
    thrift.i64(3, group.rows);
    thrift.structs(4, this.#layout.sortedBy, (column) => {
      thrift.i32(1, column);
      thrift.bool(2, false);
      thrift.bool(3, false);
    });
  }

  #columnChunk(thrift: ThriftWriter, { chunk, start }: WrittenChunk, places: IndexPlaces | undefined): void {
    const { leaf, pages } = chunk;
    const bounds = chunkBounds(leaf, pages);
    thrift.i64(2, 0);
    thrift.struct(3, () => {
      thrift.i32(1, PHYSICAL_TYPES.indexOf(leaf.physicalType));
      thrift.i32s(2, [0, 3]);
      thrift.binaries(
        3,
        leaf.path.map((name) => Buffer.from(name)),
      );
      thrift.i32(4, CODECS[this.#layout.codec]);
      thrift.i64(
        5,
        pages.reduce((values, page) => values + page.values, 0),
      );
      thrift.i64(6, uncompressedBytes(chunk));
      thrift.i64(7, chunk.bytes);
      thrift.i64(9, start);
      thrift.struct(12, () => {
        thrift.i64(
          3,
          pages.reduce((nulls, page) => nulls + page.nulls, 0),
        );
        if (bounds === undefined) return;
        thrift.binary(5, bounds.max);
        thrift.binary(6, bounds.min);
        thrift.bool(7, bounds.maxExact);
        thrift.bool(8, bounds.minExact);
      });
    });
    if (places === undefined) return;
    thrift.i64(4, places.offsetIndex[0]);
    thrift.i32(5, places.offsetIndex[1]);
    if (places.columnIndex === undefined) return;
    thrift.i64(6, places.columnIndex[0]);
    thrift.i32(7, places.columnIndex[1]);
  }
}

function uncompressedBytes({ pages }: Pick<ChunkWriter, 'pages'>): number {
  return pages.reduce((bytes, page) => bytes + page.uncompressedBytes, 0);
}
