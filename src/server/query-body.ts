/** The body of a query, checked field by field, and its cursor: where the page before ended, and of what query. */

import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';
import { ServiceError } from '../core/index.ts';
import type { OrderColumn, QueryPosition } from '../shard/index.ts';
import { canonicalKey, ExactNumber, keyText, parseExactJson, readableLeaf, type Snapshot } from '../table/index.ts';

const FIELDS: readonly string[] = ['where', 'columns', 'projection', 'limit', 'order_by', 'cursor', 'explain'];
const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 100_000;
/** Of a stream in the snapshot's order, whose rows are held nowhere. */
const STREAM_LIMIT_MAX = 1_000_000_000;

export interface QueryRequest {
  /** As the caller wrote it; undefined for all rows. */
  readonly where: unknown;
  readonly columns: readonly string[] | undefined;
  /** The name of one, in place of columns. */
  readonly projection: string | undefined;
  readonly limit: number;
  /** `name`, or `-name` for descending. */
  readonly orderBy: readonly string[];
  readonly cursor: Cursor | undefined;
  readonly explain: boolean;
  /** Of all that decides which rows come in which order. */
  readonly id: string;
}

export interface Cursor {
  readonly snapshot: string;
  readonly fileOrdinal: number;
  readonly row: number;
  /** The texts of the order columns' values, null for null; a string that is not UTF-8 has no text, and is its bytes as base64. */
  readonly values: readonly CursorValue[];
}

type CursorValue = string | null | readonly [string];

export function parseQueryBody(body: Buffer, isStream: boolean): QueryRequest {
  if (!isUtf8(body)) throw bad('bad_json', 'the body is not UTF-8, which JSON is');
  const parsed = parseExactJson(body.toString('utf8'));
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed) || parsed instanceof ExactNumber) {
    throw bad('bad_request', 'the body is a JSON object such as {"where":{"column":"age","op":">=","value":30}}');
  }
  const fields = parsed as Readonly<Record<string, unknown>>;
  const unknown = Object.keys(fields).find((name) => !FIELDS.includes(name));
  if (unknown !== undefined) {
    const shown = JSON.stringify(unknown.slice(0, 100).toWellFormed());
    throw bad('unknown_field', `the body has no field ${shown}; the known ones are ${FIELDS.join(', ')}`);
  }
  const { where, projection, explain = false } = fields;
  if (projection !== undefined && (typeof projection !== 'string' || fields.columns !== undefined)) {
    throw bad('bad_request', 'projection is the name of a projection of the table, and is given without columns');
  }
  if (typeof explain !== 'boolean') throw bad('bad_request', 'explain is true or false');
  const orderBy = namesOf(fields.order_by, 'order_by') ?? [];
  const id = createHash('sha256')
    .update(JSON.stringify([where ?? null, orderBy]))
    .digest('base64url')
    .slice(0, 16);
  return {
    where,
    columns: namesOf(fields.columns, 'columns'),
    projection,
    limit: limitOf(fields.limit, isStream && orderBy.length === 0 ? STREAM_LIMIT_MAX : LIMIT_MAX),
    orderBy,
    cursor: fields.cursor === undefined ? undefined : parseCursor(fields.cursor, id, orderBy.length),
    explain,
    id,
  };
}

function namesOf(names: unknown, field: string): readonly string[] | undefined {
  if (names === undefined) return undefined;
  const isList = Array.isArray(names) && names.every((name) => typeof name === 'string');
  if (isList) return [...new Set(names as readonly string[])];
  throw bad('bad_request', `${field} is an array of column names, such as "${field}":["name","age"]`);
}

function limitOf(limit: unknown, max: number): number {
  if (limit === undefined) return LIMIT_DEFAULT;
  if (typeof limit === 'number' && Number.isInteger(limit) && limit >= 1 && limit <= max) return limit;
  throw bad('bad_request', `limit is a whole number from 1 to ${max}`);
}

/** Columns of the table's key, each ascending or with a minus before it descending. */
export function orderOf(snapshot: Snapshot, names: readonly string[]): readonly OrderColumn[] {
  return names.map((given) => {
    const isKey = (name: string) => snapshot.keyColumns.find((column) => column.name === name);
    const ascending = isKey(given);
    const column = ascending ?? (given.startsWith('-') ? isKey(given.slice(1)) : undefined);
    if (column !== undefined) return { column, isDescending: ascending === undefined };
    const known = snapshot.keyColumns.map(({ name }) => name);
    const message = `order_by takes columns of the table's key (${known.join(', ')}), with a minus before the name for descending`;
    throw new ServiceError('invalid', 'unsupported', message, { column: given.slice(0, 100), known });
  });
}

/** What the next request goes on with. Throws `unsupported` where that would be more than its body may have room for. */
export function cursorText(
  snapshot: Snapshot,
  id: string,
  order: readonly OrderColumn[],
  at: QueryPosition,
  charactersMax: number,
): string {
  const values = at.values.map((value, i) => {
    const column = order[i]?.column;
    if (value === undefined || column === undefined) return null;
    const leaf = readableLeaf(column);
    const text = keyText(leaf, value);
    if (!(value instanceof Uint8Array)) return text;
    const same = canonicalKey(leaf, text);
    return same instanceof Uint8Array && Buffer.compare(same, value) === 0 ? text : [base64Of(value)];
  });
  const text = Buffer.from(JSON.stringify([snapshot.id, id, at.fileOrdinal, at.row, values])).toString('base64url');
  if (text.length <= charactersMax) return text;
  const message = `the page ends with values of order_by that are too large for a cursor of ${charactersMax} characters; ask without order_by, or with another limit`;
  throw new ServiceError('invalid', 'unsupported', message, { characters: text.length });
}

function parseCursor(given: unknown, id: string, orderColumns: number): Cursor {
  const fields = typeof given === 'string' ? decoded(given) : undefined;
  if (!Array.isArray(fields) || fields.length !== 5) throw badCursor();
  const [snapshot, ofQuery, fileOrdinal, row, values] = fields as readonly unknown[];
  const isWhole = (value: unknown): value is number =>
    typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
  const areValues = Array.isArray(values) && values.every(isCursorValue);
  if (typeof snapshot !== 'string' || !isWhole(fileOrdinal) || !isWhole(row) || !areValues) throw badCursor();
  if (ofQuery !== id)
    throw bad(
      'bad_cursor',
      'the cursor is of a query with another where or order_by; send it with the one it came from',
    );
  if (values.length !== orderColumns) throw badCursor();
  return { snapshot, fileOrdinal, row, values: values as readonly CursorValue[] };
}

function decoded(text: string): unknown {
  const bytes = Buffer.from(text, 'base64url');
  if (bytes.toString('base64url') !== text || !isUtf8(bytes)) return undefined;
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}

/** In the snapshot that it is of. */
export function positionOf(snapshot: Snapshot, order: readonly OrderColumn[], cursor: Cursor): QueryPosition {
  const { fileOrdinal, row } = cursor;
  if (fileOrdinal >= snapshot.files.length) throw badCursor();
  const values = cursor.values.map((text, i) => {
    const column = order[i]?.column;
    if (text === null || column === undefined) return undefined;
    const leaf = readableLeaf(column);
    const value = typeof text === 'string' ? canonicalKey(leaf, text) : bytesOf(leaf, text[0]);
    if (value === undefined) throw badCursor();
    return value;
  });
  return { fileOrdinal, row, values };
}

function isCursorValue(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 1 && typeof value[0] === 'string';
  return value === null || typeof value === 'string';
}

function base64Of(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64');
}

/** Undefined where the column does not hold any bytes, or the text is not what was answered. */
function bytesOf(leaf: Parameters<typeof canonicalKey>[0], text: string): Uint8Array | undefined {
  if (!(canonicalKey(leaf, '') instanceof Uint8Array)) return undefined;
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}

function badCursor(): ServiceError {
  return bad(
    'bad_cursor',
    'the cursor is not one that was answered; send the one of the page before, or none for the first',
  );
}

function bad(code: string, message: string): ServiceError {
  return new ServiceError('invalid', code, message);
}
