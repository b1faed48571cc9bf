/** Footers from a short description. What is not said gets a plain, valid value. */

import { ThriftWriter } from './thrift-writer.ts';

/** Numbers of parquet.thrift's Type. */
export const TYPE = { BOOLEAN: 0, INT32: 1, INT64: 2, INT96: 3, FLOAT: 4, DOUBLE: 5, BYTE_ARRAY: 6, FIXED: 7 } as const;

export interface ColumnSpec {
  readonly name: string;
  readonly type: number;
  readonly typeLength?: number;
  /** 0 required, 1 optional, 2 repeated. */
  readonly repetition?: number;
  readonly convertedType?: number;
  readonly scale?: number;
  readonly precision?: number;
  /** Writes the fields of union LogicalType. */
  readonly logicalType?: (writer: ThriftWriter) => void;
}

export interface StatisticsSpec {
  readonly max?: Uint8Array;
  readonly min?: Uint8Array;
  readonly nullCount?: number;
  readonly maxValue?: Uint8Array;
  readonly minValue?: Uint8Array;
  readonly maxExact?: boolean;
  readonly minExact?: boolean;
  readonly nanCount?: number;
}

export interface ChunkSpec {
  readonly numValues?: number;
  readonly start?: number;
  readonly length?: number;
  readonly uncompressedLength?: number;
  readonly dictionaryPageOffset?: number;
  readonly codec?: number;
  readonly encodings?: readonly number[];
  readonly statistics?: StatisticsSpec;
  /** Page type, encoding and count. */
  readonly encodingStats?: readonly (readonly [number, number, number])[];
  readonly offsetIndex?: readonly [offset: number, length: number];
  readonly columnIndex?: readonly [offset: number, length: number];
  readonly bloomFilter?: readonly [offset: number, length: number | undefined];
}

export interface FooterSpec {
  readonly columns: readonly ColumnSpec[];
  readonly rowGroupRows: readonly number[];
  readonly chunk?: (rowGroup: number, column: number) => ChunkSpec;
  /** Member of union ColumnOrder of every column; undefined leaves column_orders out. Default TYPE_ORDER. */
  readonly columnOrder?: number | undefined;
  readonly createdBy?: string;
  readonly keyValues?: Readonly<Record<string, string>>;
  readonly sorting?: readonly (readonly [column: number, descending: boolean, nullsFirst: boolean])[];
}

const STRUCT = 12;
const INT = 5;
const BINARY = 8;

/** The bytes of FileMetaData. */
export function writeFooter(spec: FooterSpec): Uint8Array {
  const writer = new ThriftWriter();
  const rows = spec.rowGroupRows.reduce((sum, count) => sum + count, 0);
  writer.structElement(() => {
    writer.int32(1, 1);
    writer.listHeader(2, STRUCT, spec.columns.length + 1);
    writer.structElement(() => writer.binary(4, 'schema').int32(5, spec.columns.length));
    for (const column of spec.columns) writeSchemaElement(writer, column);
    writer.int64(3, rows);
    writer.list(4, STRUCT, spec.rowGroupRows, (count, rowGroup) => writeRowGroup(writer, spec, count, rowGroup));
    const keyValues = Object.entries(spec.keyValues ?? {});
    writer.list(5, STRUCT, keyValues, ([key, value]) => {
      writer.structElement(() => writer.binary(1, key).binary(2, value));
    });
    writer.binary(6, spec.createdBy ?? 'test');
    const order = 'columnOrder' in spec ? spec.columnOrder : 1;
    if (order !== undefined) {
      writer.list(7, STRUCT, spec.columns, () => {
        writer.structElement(() => writer.struct(order, () => {}));
      });
    }
  });
  return writer.take();
}

/** A whole file's last bytes: footer, its length, magic. */
export function writeTail(footer: Uint8Array, magic = 'PAR1'): Uint8Array {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(footer.length);
  return Uint8Array.from(Buffer.concat([footer, length, Buffer.from(magic)]));
}

function writeSchemaElement(writer: ThriftWriter, column: ColumnSpec): void {
  writer.structElement(() => {
    writer.int32(1, column.type);
    if (column.typeLength !== undefined) writer.int32(2, column.typeLength);
    writer.int32(3, column.repetition ?? 1);
    writer.binary(4, column.name);
    if (column.convertedType !== undefined) writer.int32(6, column.convertedType);
    if (column.scale !== undefined) writer.int32(7, column.scale);
    if (column.precision !== undefined) writer.int32(8, column.precision);
    const { logicalType } = column;
    if (logicalType !== undefined) writer.struct(10, () => logicalType(writer));
  });
}

function writeRowGroup(writer: ThriftWriter, spec: FooterSpec, rows: number, rowGroup: number): void {
  writer.structElement(() => {
    writer.list(1, STRUCT, spec.columns, (column, index) => {
      writeChunk(writer, column, spec.chunk?.(rowGroup, index) ?? {}, rows);
    });
    writer.int64(2, 1000).int64(3, rows);
    if (spec.sorting !== undefined) {
      writer.list(4, STRUCT, spec.sorting, ([column, descending, nullsFirst]) => {
        writer.structElement(() => writer.int32(1, column).boolean(2, descending).boolean(3, nullsFirst));
      });
    }
  });
}

function writeChunk(writer: ThriftWriter, column: ColumnSpec, chunk: ChunkSpec, rows: number): void {
  const start = chunk.start ?? 4;
  writer.structElement(() => {
    writer.int64(2, 0);
    writer.struct(3, () => {
      writer.int32(1, column.type);
      writer.list(2, INT, chunk.encodings ?? [0, 3], (encoding) => writer.intElement(encoding));
      writer.list(3, BINARY, [column.name], (name) => writer.binaryElement(name));
      writer.int32(4, chunk.codec ?? 0);
      writer.int64(5, chunk.numValues ?? rows);
      writer.int64(6, chunk.uncompressedLength ?? chunk.length ?? 100);
      writer.int64(7, chunk.length ?? 100);
      writer.int64(9, start);
      if (chunk.dictionaryPageOffset !== undefined) writer.int64(11, chunk.dictionaryPageOffset);
      const { statistics } = chunk;
      if (statistics !== undefined) writer.struct(12, () => writeStatistics(writer, statistics));
      if (chunk.encodingStats !== undefined) {
        writer.list(13, STRUCT, chunk.encodingStats, ([pageType, encoding, count]) => {
          writer.structElement(() => writer.int32(1, pageType).int32(2, encoding).int32(3, count));
        });
      }
      if (chunk.bloomFilter !== undefined) {
        writer.int64(14, chunk.bloomFilter[0]);
        if (chunk.bloomFilter[1] !== undefined) writer.int32(15, chunk.bloomFilter[1]);
      }
    });
    if (chunk.offsetIndex !== undefined) writer.int64(4, chunk.offsetIndex[0]).int32(5, chunk.offsetIndex[1]);
    if (chunk.columnIndex !== undefined) writer.int64(6, chunk.columnIndex[0]).int32(7, chunk.columnIndex[1]);
  });
}

export function writeStatistics(writer: ThriftWriter, statistics: StatisticsSpec): void {
  if (statistics.max !== undefined) writer.binary(1, statistics.max);
  if (statistics.min !== undefined) writer.binary(2, statistics.min);
  if (statistics.nullCount !== undefined) writer.int64(3, statistics.nullCount);
  if (statistics.maxValue !== undefined) writer.binary(5, statistics.maxValue);
  if (statistics.minValue !== undefined) writer.binary(6, statistics.minValue);
  if (statistics.maxExact !== undefined) writer.boolean(7, statistics.maxExact);
  if (statistics.minExact !== undefined) writer.boolean(8, statistics.minExact);
  if (statistics.nanCount !== undefined) writer.int64(9, statistics.nanCount);
}
