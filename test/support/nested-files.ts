/**
 * Parquet files of any schema, written from raw records by the Dremel rules: every legacy form of list and map, pages of
 * both versions that begin with a row or in the middle of one, dictionaries that end half-way. Plain and slow; it shares
 * no code with the reader.
 */

import { compressSync } from 'snappy';
import { packBits, rleBitPacked } from '../parquet/support/encoders.ts';
import { ThriftWriter } from '../parquet/support/thrift-writer.ts';

export const LEAF_TYPES = { BOOLEAN: 0, INT32: 1, INT64: 2, DOUBLE: 5, BYTE_ARRAY: 6 } as const;
export type LeafType = keyof typeof LEAF_TYPES;

/** ConvertedType's numbers. */
export const UTF8 = 0;
export const MAP = 1;
export const MAP_KEY_VALUE = 2;
export const LIST = 3;
/** LogicalType's numbers, for what has no ConvertedType. */
export const VARIANT = 16;
export const UNKNOWN = 11;

export interface Field {
  readonly name: string;
  readonly repetition: 'required' | 'optional' | 'repeated';
  readonly type?: LeafType;
  readonly converted?: number;
  readonly logical?: number;
  readonly children?: readonly Field[];
}

/** A leaf's value; null for an absent optional; an array of items for a repeated field; a group as [child, child, ..]. */
export type Raw = number | bigint | boolean | Uint8Array | null | readonly Raw[];

export interface Layout {
  readonly version: 1 | 2;
  /** Entries a page, about; pages of the first version then end anywhere unless `wholeRows`. */
  readonly entriesPerPage: number;
  readonly wholeRows: boolean;
  /** Pages with dictionary codes, before those with plain values. */
  readonly dictionaryPages: number;
  readonly bitPackedLevels: boolean;
  readonly snappy: boolean;
  readonly offsetIndex: boolean;
  readonly rowsPerRowGroup: number;
  readonly random: () => number;
}

export const PLAIN_LAYOUT: Layout = {
  version: 1,
  entriesPerPage: 1000,
  wholeRows: true,
  dictionaryPages: 0,
  bitPackedLevels: false,
  snappy: false,
  offsetIndex: false,
  rowsPerRowGroup: 1000,
  random: () => 0.5,
};

interface LeafOut {
  readonly field: Field;
  readonly path: readonly string[];
  readonly maxDefinition: number;
  readonly maxRepetition: number;
  entries: Entry[];
}

interface Entry {
  readonly repetition: number;
  readonly definition: number;
  readonly value: Raw | undefined;
}

const REPETITIONS = { required: 0, optional: 1, repeated: 2 } as const;

export function nestedFile(fields: readonly Field[], records: readonly (readonly Raw[])[], layout: Layout): Buffer {
  const leaves = fields.flatMap((field) => leavesBelow(field, [], 0, 0));
  const parts: Uint8Array[] = [Buffer.from('PAR1')];
  const at = () => parts.reduce((sum, part) => sum + part.length, 0);
  const rowGroups: { readonly rows: number; readonly chunks: readonly Chunk[] }[] = [];
  for (let row = 0; row < records.length; row += layout.rowsPerRowGroup) {
    const group = records.slice(row, row + layout.rowsPerRowGroup);
    for (const leaf of leaves) leaf.entries = [];
    for (const record of group) shredRecord(fields, record, leaves);
    rowGroups.push({ rows: group.length, chunks: leaves.map((leaf) => writeChunk(leaf, layout, parts, at)) });
  }
  const chunks = rowGroups.flatMap((group) => group.chunks);
  if (layout.offsetIndex) for (const chunk of chunks) writeOffsetIndex(chunk, parts, at);
  const footer = footerOf(fields, records.length, rowGroups, leaves, layout);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(footer.length);
  return Buffer.concat([...parts, footer, length, Buffer.from('PAR1')]);
}

function leavesBelow(field: Field, above: readonly string[], definition: number, repetition: number): LeafOut[] {
  const path = [...above, field.name];
  const d = definition + (field.repetition === 'required' ? 0 : 1);
  const r = repetition + (field.repetition === 'repeated' ? 1 : 0);
  if (field.children !== undefined) return field.children.flatMap((child) => leavesBelow(child, path, d, r));
  return [{ field, path, maxDefinition: d, maxRepetition: r, entries: [] }];
}

function shredRecord(fields: readonly Field[], record: readonly Raw[], leaves: readonly LeafOut[]): void {
  const outOf = new Map(leaves.map((leaf) => [leaf.field, leaf]));
  const nulls = (field: Field, repetition: number, definition: number): void => {
    outOf.get(field)?.entries.push({ repetition, definition, value: undefined });
    for (const child of field.children ?? []) nulls(child, repetition, definition);
  };
  const content = (field: Field, value: Raw, repetition: number, definition: number, depth: number): void => {
    outOf.get(field)?.entries.push({ repetition, definition, value });
    field.children?.forEach((child, i) => {
      write(child, (value as readonly Raw[])[i]!, repetition, definition, depth);
    });
  };
  const write = (field: Field, value: Raw, repetition: number, definition: number, depth: number): void => {
    if (field.repetition === 'required') content(field, value, repetition, definition, depth);
    else if (field.repetition === 'optional') {
      if (value === null) nulls(field, repetition, definition);
      else content(field, value, repetition, definition + 1, depth);
    } else {
      const items = value as readonly Raw[];
      if (items.length === 0) nulls(field, repetition, definition);
      items.forEach((item, i) => {
        content(field, item, i === 0 ? repetition : depth + 1, definition + 1, depth + 1);
      });
    }
  };
  fields.forEach((field, i) => {
    write(field, record[i]!, 0, 0, 0);
  });
}

interface Chunk {
  readonly start: number;
  readonly dictionaryAt: number | undefined;
  readonly dataAt: number;
  readonly bytes: number;
  readonly values: number;
  readonly pages: readonly { readonly start: number; readonly length: number; readonly firstRow: number }[];
  indexAt: number;
  indexLength: number;
}

function writeChunk(leaf: LeafOut, layout: Layout, parts: Uint8Array[], at: () => number): Chunk {
  const start = at();
  const groups = cutPages(leaf.entries, layout);
  const coded = groups.slice(0, layout.dictionaryPages).flat();
  const dictionary = [...new Map(valuesOf(coded).map((value) => [keyOf(value), value])).values()];
  const hasDictionary = layout.dictionaryPages > 0 && leaf.field.type !== 'BOOLEAN';
  if (hasDictionary) parts.push(dictionaryPage(leaf, dictionary, layout));
  const dataAt = at();
  const codes = new Map(dictionary.map((value, code) => [keyOf(value), code]));
  const pages: { start: number; length: number; firstRow: number }[] = [];
  let row = 0;
  groups.forEach((entries, i) => {
    const page = dataPage(leaf, entries, hasDictionary && i < layout.dictionaryPages ? codes : undefined, layout);
    pages.push({ start: at(), length: page.length, firstRow: row });
    row += entries.filter((entry) => entry.repetition === 0).length;
    parts.push(page);
  });
  const dictionaryAt = hasDictionary ? start : undefined;
  const values = leaf.entries.length;
  return { start, dictionaryAt, dataAt, bytes: at() - start, values, pages, indexAt: 0, indexLength: 0 };
}

/** An offset index, and pages of the second version, promise that pages begin with a row. */
function cutPages(entries: readonly Entry[], layout: Layout): Entry[][] {
  const wholeRows = layout.wholeRows || layout.version === 2 || layout.offsetIndex;
  const pages: Entry[][] = [[]];
  for (const entry of entries) {
    const isFull = pages.at(-1)!.length >= layout.entriesPerPage;
    if (isFull && (!wholeRows || entry.repetition === 0)) pages.push([]);
    pages.at(-1)!.push(entry);
  }
  return pages;
}

function valuesOf(entries: readonly Entry[]): Raw[] {
  return entries.flatMap(({ value }) => (value === undefined ? [] : [value]));
}

function keyOf(value: Raw): string {
  return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : `${Object.is(value, -0) ? '-0' : value}`;
}

function plain(type: LeafType, values: readonly Raw[]): Uint8Array {
  if (type === 'BOOLEAN')
    return Uint8Array.from(
      packBits(
        values.map((value) => (value ? 1n : 0n)),
        1,
      ),
    );
  return Buffer.concat(
    values.map((value) => {
      const bytes = Buffer.alloc(type === 'INT32' || type === 'BYTE_ARRAY' ? 4 : 8);
      if (type === 'INT32') bytes.writeInt32LE(value as number);
      else if (type === 'INT64') bytes.writeBigInt64LE(value as bigint);
      else if (type === 'DOUBLE') bytes.writeDoubleLE(value as number);
      else {
        bytes.writeUInt32LE((value as Uint8Array).length);
        return Buffer.concat([bytes, value as Uint8Array]);
      }
      return bytes;
    }),
  );
}

/** Runs of random kinds: a repeated one where values repeat, else packed groups of eight. */
function runs(values: readonly number[], bitWidth: number, random: () => number): Uint8Array {
  const out: { packed: boolean; values: number[] }[] = [];
  for (let i = 0; i < values.length; ) {
    let same = 1;
    while (i + same < values.length && values[i + same] === values[i]) same += 1;
    const left = values.length - i;
    if (same > 1 && random() < 0.7) {
      const length = 1 + Math.floor(random() * same);
      out.push({ packed: false, values: values.slice(i, i + length) });
      i += length;
    } else if (random() < 0.3) {
      out.push({ packed: false, values: values.slice(i, i + 1) });
      i += 1;
    } else {
      const length = left < 8 ? left : 8 * (1 + Math.floor(random() * (left / 8 - 0.001)));
      out.push({ packed: true, values: values.slice(i, i + length) });
      i += length;
    }
  }
  return rleBitPacked(out, bitWidth);
}

function bitsFor(max: number): number {
  return max.toString(2).length * (max > 0 ? 1 : 0);
}

/** Most significant bit first, without a header. */
function bitPacked(levels: readonly number[], bitWidth: number): Uint8Array {
  const bits = levels.map((level) => level.toString(2).padStart(bitWidth, '0')).join('');
  const bytes = bits.match(/.{1,8}/g) ?? [];
  return Uint8Array.from(bytes, (byte) => Number.parseInt(byte.padEnd(8, '0'), 2));
}

function compress(layout: Layout, bytes: Uint8Array): Uint8Array {
  return layout.snappy ? compressSync(Buffer.from(bytes)) : bytes;
}

function lengthPrefixed(bytes: Uint8Array): Uint8Array {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.length);
  return Buffer.concat([length, bytes]);
}

const PLAIN = 0;
const RLE = 3;
const BIT_PACKED = 4;
const RLE_DICTIONARY = 8;

function pageOf(type: number, body: Uint8Array, uncompressed: number, own: (writer: ThriftWriter) => void): Uint8Array {
  const writer = new ThriftWriter();
  writer.structElement(() => {
    writer.int32(1, type).int32(2, uncompressed).int32(3, body.length);
    own(writer);
  });
  return Buffer.concat([writer.take(), body]);
}

function dictionaryPage(leaf: LeafOut, values: readonly Raw[], layout: Layout): Uint8Array {
  const body = plain(leaf.field.type!, values);
  return pageOf(2, compress(layout, body), body.length, (writer) =>
    writer.struct(7, () => writer.int32(1, values.length).int32(2, PLAIN)),
  );
}

function dataPage(
  leaf: LeafOut,
  entries: readonly Entry[],
  codes: ReadonlyMap<string, number> | undefined,
  layout: Layout,
): Uint8Array {
  const { random } = layout;
  const present = valuesOf(entries);
  const values = codes === undefined ? plain(leaf.field.type!, present) : encodeCodes(present, codes, random);
  const encoding = codes === undefined ? PLAIN : RLE_DICTIONARY;
  const r = entries.map(({ repetition }) => repetition);
  const d = entries.map(({ definition }) => definition);
  const level = (levels: readonly number[], max: number, encode: typeof runs) =>
    max === 0 ? new Uint8Array(0) : encode(levels, bitsFor(max), random);
  if (layout.version === 2) {
    const [rr, dd] = [level(r, leaf.maxRepetition, runs), level(d, leaf.maxDefinition, runs)];
    const body = Buffer.concat([rr, dd, compress(layout, values)]);
    const rows = r.filter((repetition) => repetition === 0).length;
    const nulls = entries.length - present.length;
    return pageOf(3, body, rr.length + dd.length + values.length, (writer) =>
      writer.struct(8, () => {
        writer.int32(1, entries.length).int32(2, nulls).int32(3, rows).int32(4, encoding);
        writer.int32(5, dd.length).int32(6, rr.length).boolean(7, layout.snappy);
      }),
    );
  }
  const encode = layout.bitPackedLevels
    ? bitPacked
    : (...args: Parameters<typeof runs>) => lengthPrefixed(runs(...args));
  const body = Buffer.concat([level(r, leaf.maxRepetition, encode), level(d, leaf.maxDefinition, encode), values]);
  const levelEncoding = layout.bitPackedLevels ? BIT_PACKED : RLE;
  return pageOf(0, compress(layout, body), body.length, (writer) =>
    writer.struct(5, () => {
      writer.int32(1, entries.length).int32(2, encoding).int32(3, levelEncoding).int32(4, levelEncoding);
    }),
  );
}

function encodeCodes(values: readonly Raw[], codes: ReadonlyMap<string, number>, random: () => number): Uint8Array {
  const bitWidth = Math.max(1, bitsFor(codes.size - 1));
  const numbers = values.map((value) => codes.get(keyOf(value))!);
  return Buffer.concat([Uint8Array.of(bitWidth), runs(numbers, bitWidth, random)]);
}

function writeOffsetIndex(chunk: Chunk, parts: Uint8Array[], at: () => number): void {
  const writer = new ThriftWriter();
  writer.structElement(() =>
    writer.list(1, 12, chunk.pages, ({ start, length, firstRow }) =>
      writer.structElement(() => writer.int64(1, start).int32(2, length).int64(3, firstRow)),
    ),
  );
  chunk.indexAt = at();
  const bytes = writer.take();
  chunk.indexLength = bytes.length;
  parts.push(bytes);
}

function footerOf(
  fields: readonly Field[],
  rows: number,
  rowGroups: readonly { readonly rows: number; readonly chunks: readonly Chunk[] }[],
  leaves: readonly LeafOut[],
  layout: Layout,
): Uint8Array {
  const writer = new ThriftWriter();
  const root: Field = { name: 'schema', repetition: 'required', children: fields };
  writer.structElement(() => {
    writer.int32(1, 1);
    writer.list(2, 12, elementsOf(root), (field) =>
      writer.structElement(() => writeElement(writer, field, field === root)),
    );
    writer.int64(3, rows);
    writer.list(4, 12, rowGroups, (group) =>
      writer.structElement(() => {
        writer.list(1, 12, group.chunks, (chunk, i) =>
          writer.structElement(() => writeColumn(writer, chunk, leaves[i]!, layout)),
        );
        writer
          .int64(
            2,
            group.chunks.reduce((sum, chunk) => sum + chunk.bytes, 0),
          )
          .int64(3, group.rows);
      }),
    );
  });
  return writer.take();
}

function elementsOf(field: Field): Field[] {
  return [field, ...(field.children ?? []).flatMap(elementsOf)];
}

function writeElement(writer: ThriftWriter, field: Field, isRoot: boolean): void {
  if (field.type !== undefined) writer.int32(1, LEAF_TYPES[field.type]);
  if (!isRoot) writer.int32(3, REPETITIONS[field.repetition]);
  writer.binary(4, field.name);
  if (field.children !== undefined) writer.int32(5, field.children.length);
  if (field.converted !== undefined) writer.int32(6, field.converted);
  const { logical } = field;
  if (logical !== undefined) writer.struct(10, () => writer.struct(logical, () => undefined));
}

function writeColumn(writer: ThriftWriter, chunk: Chunk, leaf: LeafOut, layout: Layout): void {
  writer.int64(2, chunk.start).struct(3, () => {
    writer.int32(1, LEAF_TYPES[leaf.field.type!]);
    writer.list(2, 5, [PLAIN, RLE, RLE_DICTIONARY], (encoding) => writer.intElement(encoding));
    writer.list(3, 8, leaf.path, (name) => writer.binaryElement(name));
    writer.int32(4, layout.snappy ? 1 : 0).int64(5, chunk.values);
    writer.int64(6, chunk.bytes).int64(7, chunk.bytes).int64(9, chunk.dataAt);
    if (chunk.dictionaryAt !== undefined) writer.int64(11, chunk.dictionaryAt);
  });
  if (layout.offsetIndex) writer.int64(4, chunk.indexAt).int32(5, chunk.indexLength);
}
