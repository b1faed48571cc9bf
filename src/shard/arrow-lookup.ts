/**
 * A batch of keys as one Arrow record batch: a row a key, in the order of the keys, or with `matches: all` a row a match.
 *
 *     pointlake_key     int32   the place of the key in the request
 *     pointlake_status  utf8    as in JSON
 *     pointlake_error   utf8    JSON; null unless the status has an error
 *     pointlake_truncated       only with `matches: all`
 *     then the columns that were asked for, null where no row was found
 *
 * Rows are packed as they are found (`packed-rows.ts`), and written column by column when all are there. A column that has
 * no Arrow type of its own here, a nested one above all, is its JSON text, marked as the extension type `arrow.json`.
 */

import { type PlainError, ServiceError } from '../core/index.ts';
import type { LeafColumn } from '../parquet/index.ts';
import type { Key, Pins, Projection, Snapshot, TableColumn } from '../table/index.ts';
import { ArrowBody, ArrowFrame } from './arrow-body.ts';
import { type Arrow, typeOf } from './arrow-types.ts';
import type { LookupItem, RowForm } from './batch.ts';
import type { RowPlace } from './encode-row.ts';
import type { KeptForm, KeptRows } from './kept-rows.ts';
import { locatedRow } from './located-row.ts';
import { COPIED_IN_PLACE_MAX, type PackedKind, PackedRows, packedKind } from './packed-rows.ts';

const KEY = 'pointlake_key';
const STATUS = 'pointlake_status';
const ERROR = 'pointlake_error';
const TRUNCATED = 'pointlake_truncated';
const NO_ROW = -1;
/** What a row's key, status and offsets usually take, and what a column does beside its values: only the first guess of a size. */
const OWN_BYTES_A_ROW = 24;
const COLUMN_BYTES = 64;

const STATUSES = ['found', 'not_found', 'timeout', 'error', 'not_covered'] as const;
const STATUS_BYTES: ReadonlyMap<string, Uint8Array> = new Map(STATUSES.map((status) => [status, Buffer.from(status)]));

/** How wide the values of a column are in Arrow; 0: bits, -1: offsets and bytes. */
const BITS = 0;
const OFFSETS = -1;

interface ArrowForm {
  readonly schema: InstanceType<Arrow['Schema']>;
  readonly frame: ArrowFrame;
  /** By column of the table. */
  readonly widths: readonly number[];
}

const forms = new WeakMap<Projection, Map<'first' | 'all', ArrowForm>>();

export class ArrowLookup implements RowForm<number> {
  readonly #arrow: Arrow;
  readonly #form: ArrowForm;
  readonly #matches: 'first' | 'all';
  readonly #rows: PackedRows;
  readonly #kept: KeptRows;
  readonly #keptForm: KeptForm<number>;

  /** Throws `unsupported` for columns that cannot be had so. */
  constructor(arrow: Arrow, projection: Projection, matches: 'first' | 'all', kept: KeptRows, rowsExpected: number) {
    this.#arrow = arrow;
    this.#form = formFor(arrow, projection, matches);
    this.#matches = matches;
    const rows = new PackedRows(projection, rowsExpected);
    this.#rows = rows;
    this.#kept = kept;
    this.#keptForm = {
      numberOf: (space) => space.packedNumber,
      get: (cache, space, key, generation) => cache.copy(space, key, generation, rows),
      adopt: (cache, space, key, generation, by) => cache.adoptCopy(space, key, generation, by, rows),
    };
  }

  tryRow(snapshot: Snapshot, key: Key, projection: Projection): number | null | undefined {
    const kept = this.kept(snapshot, key, projection);
    if (kept !== undefined) return kept;
    const place = locatedRow(snapshot, key, projection.key);
    if (place === null || place === undefined) return place;
    const same = this.#kept.confirm(snapshot, key, projection, place, this.#keptForm);
    if (same !== undefined) return same;
    const row = this.#rows.add(place, undefined);
    if (row !== undefined) this.keep(snapshot, key, projection, place, row);
    return row;
  }

  kept(snapshot: Snapshot, key: Key, projection: Projection): number | undefined {
    return this.#kept.get(snapshot, key, projection, this.#keptForm);
  }

  keep(snapshot: Snapshot, key: Key, projection: Projection, place: RowPlace, row: number): void {
    this.#kept.put(snapshot, key, projection, place, this.#rows.bytesOf(row), this.#keptForm);
  }

  encode(place: RowPlace, _projection: Projection, pins: Pins | undefined): number | undefined {
    return this.#rows.add(place, pins);
  }

  get byteLength(): number {
    return this.#rows.byteLength;
  }

  /** The whole stream; `explain` goes with its schema. To be called once, at the end. */
  stream(
    items: readonly LookupItem<number>[],
    errorText: (error: PlainError, key: number) => string,
    explain?: string,
  ): Buffer {
    const { schema, frame, widths } = this.#form;
    const answer = laidOut(items, errorText);
    const rows = answer.rows.length;
    const body = new ArrowBody(this.#rows.byteLength + OWN_BYTES_A_ROW * rows + COLUMN_BYTES * widths.length);
    writeWords(body, answer.keys);
    writeStatuses(body, answer.statuses);
    writeTexts(body, answer.errors);
    if (this.#matches === 'all') writeFlags(body, answer.truncated);
    for (const [column, width] of widths.entries()) writeColumn(body, this.#rows, answer.rows, column, width);
    let message = frame.schemaMessage;
    if (explain !== undefined) {
      const explained = new this.#arrow.Schema(schema.fields, new Map([['pointlake_explain', explain]]));
      message = new ArrowFrame(this.#arrow, explained).schemaMessage;
    }
    const whole = frame.stream(message, rows, body);
    body.done();
    this.#rows.done();
    return whole;
  }
}

interface LaidOut {
  readonly keys: number[];
  readonly rows: number[];
  readonly statuses: string[];
  readonly errors: (string | undefined)[];
  readonly truncated: boolean[];
}

function laidOut(items: readonly LookupItem<number>[], errorText: (error: PlainError, key: number) => string): LaidOut {
  const out: LaidOut = { keys: [], rows: [], statuses: [], errors: [], truncated: [] };
  for (let key = 0; key < items.length; key++) {
    const item = items[key] as LookupItem<number>;
    if ('row' in item) lay(out, key, item.row, item.status, undefined, false);
    else if ('rows' in item) for (const row of item.rows) lay(out, key, row, item.status, undefined, item.truncated);
    else lay(out, key, NO_ROW, item.status, 'error' in item ? errorText(item.error, key) : undefined, false);
  }
  return out;
}

function lay(
  out: LaidOut,
  key: number,
  row: number,
  status: string,
  error: string | undefined,
  isTruncated: boolean,
): void {
  out.keys.push(key);
  out.rows.push(row);
  out.statuses.push(status);
  out.errors.push(error);
  out.truncated.push(isTruncated);
}

function writeColumn(
  body: ArrowBody,
  packed: PackedRows,
  rows: readonly number[],
  column: number,
  width: number,
): void {
  const nulls = nullsOf(packed, rows, column);
  writeValidity(body, nulls);
  const slot = packed.slots[column] as number;
  if (width === OFFSETS) {
    writeOffsets(body, packed, rows, slot, nulls);
    return;
  }
  const { words, bytes } = packed;
  const out = body.buffer(width === BITS ? Math.ceil(rows.length / 8) : rows.length * width);
  if (packed.kinds[column] !== 'bytes' && width >= 4) {
    writeWide(body.words, out >>> 2, packed.words, rows, slot, width / 4, nulls);
    return;
  }
  const isBytes = packed.kinds[column] === 'bytes';
  for (let i = 0; i < rows.length; i++) {
    if (nulls !== undefined && nulls[i] === 1) continue;
    const row = rows[i] as number;
    const at = row + slot;
    const to = out + i * width;
    if (isBytes) bytes.copy(body.bytes, to, 4 * row + (words[at] as number), 4 * row + (words[at] as number) + width);
    else if (width === BITS) setBit(body.bytes, out, i, words[at] as number);
    else if (width === 1) body.bytes[to] = words[at] as number;
    else body.bytes.writeUInt16LE((words[at] as number) & 0xffff, to);
  }
}

/** Values of one, two or four words. */
function writeWide(
  out: Uint32Array,
  start: number,
  words: Uint32Array,
  rows: readonly number[],
  slot: number,
  wordsEach: number,
  nulls: Uint8Array | undefined,
): void {
  for (let i = 0, to = start; i < rows.length; i++, to += wordsEach) {
    if (nulls !== undefined && nulls[i] === 1) continue;
    const at = (rows[i] as number) + slot;
    out[to] = words[at] as number;
    if (wordsEach > 1) out[to + 1] = words[at + 1] as number;
    for (let word = 2; word < wordsEach; word++) out[to + word] = words[at + word] as number;
  }
}

/** 1 where a row is null; undefined where none is. */
function nullsOf(packed: PackedRows, rows: readonly number[], column: number): Uint8Array | undefined {
  let nulls: Uint8Array | undefined;
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i] as number;
    if (row !== NO_ROW && !packed.isNull(row, column)) continue;
    nulls ??= new Uint8Array(rows.length);
    nulls[i] = 1;
  }
  return nulls;
}

function writeOffsets(
  body: ArrowBody,
  { words, bytes }: PackedRows,
  rows: readonly number[],
  slot: number,
  nulls: Uint8Array | undefined,
): void {
  const lengthOf = (i: number) => (nulls?.[i] === 1 ? 0 : (words[(rows[i] as number) + slot + 1] as number));
  const offsets = body.buffer(4 * (rows.length + 1)) >>> 2;
  let end = 0;
  for (let i = 0; i < rows.length; i++) {
    end += lengthOf(i);
    body.words[offsets + i + 1] = end;
  }
  let to = body.buffer(end);
  for (let i = 0; i < rows.length; i++) {
    const length = lengthOf(i);
    if (length === 0) continue;
    const from = 4 * (rows[i] as number) + (words[(rows[i] as number) + slot] as number);
    copyBytesTo(body.bytes, to, bytes, from, length);
    to += length;
  }
}

function writeValidity(body: ArrowBody, nulls: Uint8Array | undefined): void {
  let nullCount = 0;
  const at = body.buffer(nulls === undefined ? 0 : Math.ceil(nulls.length / 8));
  if (nulls !== undefined) {
    for (let i = 0; i < nulls.length; i++) {
      nullCount += nulls[i] as number;
      setBit(body.bytes, at, i, 1 - (nulls[i] as number));
    }
  }
  body.nullCounts.push(nullCount);
}

function writeWords(body: ArrowBody, values: readonly number[]): void {
  writeValidity(body, undefined);
  const at = body.buffer(4 * values.length) >>> 2;
  for (let i = 0; i < values.length; i++) body.words[at + i] = values[i] as number;
}

function writeFlags(body: ArrowBody, values: readonly boolean[]): void {
  writeValidity(body, undefined);
  const at = body.buffer(Math.ceil(values.length / 8));
  for (const [i, value] of values.entries()) setBit(body.bytes, at, i, value ? 1 : 0);
}

function writeStatuses(body: ArrowBody, statuses: readonly string[]): void {
  writeValidity(body, undefined);
  const offsets = body.buffer(4 * (statuses.length + 1)) >>> 2;
  let end = 0;
  for (let i = 0; i < statuses.length; i++) {
    end += (statuses[i] as string).length;
    body.words[offsets + i + 1] = end;
  }
  let to = body.buffer(end);
  for (let i = 0; i < statuses.length; i++) {
    const bytes = STATUS_BYTES.get(statuses[i] as string) as Uint8Array;
    copyBytesTo(body.bytes, to, bytes, 0, bytes.length);
    to += bytes.length;
  }
}

function copyBytesTo(target: Uint8Array, to: number, bytes: Uint8Array, from: number, length: number): void {
  if (length > COPIED_IN_PLACE_MAX) target.set(bytes.subarray(from, from + length), to);
  else for (let i = 0; i < length; i++) target[to + i] = bytes[from + i] as number;
}

function writeTexts(body: ArrowBody, texts: readonly (string | undefined)[]): void {
  if (texts.every((text) => text === undefined)) {
    writeNulls(body, texts.length);
    return;
  }
  const hasNulls = texts.some((text) => text === undefined);
  writeValidity(body, hasNulls ? Uint8Array.from(texts, (text) => (text === undefined ? 1 : 0)) : undefined);
  const offsets = body.buffer(4 * (texts.length + 1)) >>> 2;
  let end = 0;
  for (const [i, text] of texts.entries()) {
    end += text === undefined ? 0 : Buffer.byteLength(text);
    body.words[offsets + i + 1] = end;
  }
  const at = body.buffer(end);
  body.bytes.write(texts.join(''), at, 'utf8');
}

/** Texts none of which is there: what nobody wrote is zero. */
function writeNulls(body: ArrowBody, count: number): void {
  body.buffer(Math.ceil(count / 8));
  body.nullCounts.push(count);
  body.buffer(4 * (count + 1));
  body.buffer(0);
}

function setBit(bytes: Uint8Array, at: number, bit: number, value: number): void {
  const byte = at + (bit >>> 3);
  bytes[byte] = (bytes[byte] as number) | (value << (bit & 7));
}

function formFor(arrow: Arrow, projection: Projection, matches: 'first' | 'all'): ArrowForm {
  const known = forms.get(projection)?.get(matches);
  if (known !== undefined) return known;
  const { columns } = projection;
  for (const { name } of columns) {
    if (![KEY, STATUS, ERROR, TRUNCATED].includes(name)) continue;
    const message = `column ${name} has the name of a column that tells of the keys in an Arrow answer; ask for other columns, or for JSON`;
    throw new ServiceError('invalid', 'unsupported', message, { column: name, feature: 'the column in Arrow lookups' });
  }
  const own = [
    new arrow.Field(KEY, new arrow.Int32(), false),
    new arrow.Field(STATUS, new arrow.Utf8(), false),
    new arrow.Field(ERROR, new arrow.Utf8(), true),
    ...(matches === 'all' ? [new arrow.Field(TRUNCATED, new arrow.Bool(), false)] : []),
  ];
  const schema = new arrow.Schema([...own, ...columns.map((column) => fieldOf(arrow, column))]);
  const widths = columns.map((column) => widthOf(packedKind(column), column.leaf));
  const made = { schema, frame: new ArrowFrame(arrow, schema), widths };
  const some = forms.get(projection) ?? new Map();
  forms.set(projection, some.set(matches, made));
  return made;
}

/** Every column may be null: the row may not be found. */
function fieldOf(arrow: Arrow, column: TableColumn) {
  if (packedKind(column) !== 'text')
    return new arrow.Field(column.name, typeOf(arrow, column.leaf as LeafColumn), true);
  const extension = new Map([
    ['ARROW:extension:name', 'arrow.json'],
    ['ARROW:extension:metadata', ''],
  ]);
  return new arrow.Field(column.name, new arrow.Utf8(), true, extension);
}

function widthOf(kind: PackedKind, leaf: LeafColumn | undefined): number {
  switch (kind) {
    case 'bit':
      return BITS;
    case 'text':
      return OFFSETS;
    case 'bytes': {
      const { kind: logical } = leaf?.logicalType ?? { kind: 'NONE' };
      const isText = logical === 'STRING' || logical === 'ENUM' || logical === 'JSON';
      return leaf?.physicalType === 'FIXED_LEN_BYTE_ARRAY' && !isText ? leaf.typeLength : OFFSETS;
    }
    case 'word':
      return leaf?.logicalType.kind === 'INTEGER' ? leaf.logicalType.bitWidth / 8 : 4;
    case 'half':
    case 'float':
      return 4;
    case 'pair':
    case 'double':
      return 8;
    case 'wide':
      return 16;
  }
}
