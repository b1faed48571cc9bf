/**
 * A batch of keys as one Arrow record batch: a row a key, in the order of the keys, or with `matches: all` a row a match.
 *
 *     pointlake_key     int32   the place of the key in the request
 *     pointlake_status  utf8    as in JSON
 *     pointlake_error   utf8    JSON; null unless the status has an error
 *     pointlake_truncated       only with `matches: all`
 *     then the columns that were asked for, null where no row was found
 *
 * Rows are packed as they are found (`packed-rows.ts`), and written column by column when all are there (`arrow-columns.ts`).
 */

import { type PlainError, ServiceError } from '../core/index.ts';
import type { Key, Pins, Projection, Snapshot } from '../table/index.ts';
import { ArrowBody, ArrowFrame, END_OF_STREAM } from './arrow-body.ts';
import { copyBytesTo, fieldOf, NO_ROW, setBit, widthOf, writeColumn, writeValidity } from './arrow-columns.ts';
import type { Arrow } from './arrow-types.ts';
import type { LookupItem, RowForm } from './batch.ts';
import type { RowPlace } from './encode-row.ts';
import type { KeptForm, KeptRows } from './kept-rows.ts';
import { locatedRow } from './located-row.ts';
import { PackedRows } from './packed-rows.ts';

const KEY = 'pointlake_key';
const STATUS = 'pointlake_status';
const ERROR = 'pointlake_error';
const TRUNCATED = 'pointlake_truncated';
/** What a row's key, status and offsets usually take, and what a column does beside its values: only the first guess of a size. */
const OWN_BYTES_A_ROW = 24;
const COLUMN_BYTES = 64;

const STATUSES = ['found', 'not_found', 'timeout', 'error', 'not_covered'] as const;
const STATUS_BYTES: ReadonlyMap<string, Uint8Array> = new Map(STATUSES.map((status) => [status, Buffer.from(status)]));

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

  loadAhead(keys: readonly (Key | ServiceError)[], from: number, to: number, projection: Projection): void {
    this.#kept.loadAhead(keys, from, to, projection, this.#keptForm);
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
    const whole = frame.batch(message, rows, body, END_OF_STREAM);
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
  // Every column may be null: the row may not be found.
  const schema = new arrow.Schema([...own, ...columns.map((column) => fieldOf(arrow, column, true))]);
  const widths = columns.map(widthOf);
  const made = { schema, frame: new ArrowFrame(arrow, schema), widths };
  const some = forms.get(projection) ?? new Map();
  forms.set(projection, some.set(matches, made));
  return made;
}
