/**
 * What a reply needs that does not depend on the row, made once for each (snapshot, query string).
 *
 * The raw query string is the cache key, so that a hot request parses no query, looks up no column and builds no header.
 * Clients choose query strings freely: a bounded number is kept a snapshot, the oldest leaving first.
 */

import { createHash } from 'node:crypto';
import type { JsonOptions, Projection, Snapshot, TableColumn, TableKey, ValueWriter } from '../table/index.ts';
import { NestedWriter, readableLeaf, valueWriter } from '../table/index.ts';
import { columnsAsked, jsonOptions, parseQuery } from './query.ts';
import { ReplyHeaders } from './reply-headers.ts';
import { JSON_TYPE } from './respond.ts';

const ENCODERS_MAX = 256;
/** Longer ones are parsed each time, so that what is kept stays small. */
const KEPT_CHARACTERS_MAX = 8 * 1024;

export type CacheTier = 'memory' | 'disk' | 'origin';

export interface Encoder {
  /** Snapshot and encoder, no hash of the body: the same URL with the same tag has the same bytes. */
  readonly etag: string;
  /** By the slowest tier touched. */
  readonly headers: Readonly<Record<CacheTier, ReplyHeaders>>;
}

export interface RowEncoder extends Encoder {
  readonly projection: Projection;
}

export interface ValueEncoder extends Encoder {
  readonly column: TableColumn;
  readonly writer: ValueWriter | NestedWriter;
}

export interface ValueLimits {
  /** Bytes of one value that a row may show. */
  readonly valueInRowBytes: number;
  /** Bytes of one value on its own. */
  readonly valueBytesMax: number;
}

export class Encoders {
  readonly #limits: ValueLimits;
  readonly #rows = new WeakMap<TableKey, KeptEncoders<RowEncoder>>();
  readonly #values = new WeakMap<Snapshot, KeptEncoders<ValueEncoder>>();

  constructor(limits: ValueLimits) {
    this.#limits = limits;
  }

  /** For rows that are found by that key. */
  row(snapshot: Snapshot, by: TableKey, query: string): RowEncoder {
    const { valueInRowBytes } = this.#limits;
    return kept(this.#rows, by, query, () => makeRowEncoder(snapshot, by, query, valueInRowBytes));
  }

  value(snapshot: Snapshot, column: string, query: string): ValueEncoder {
    const { valueBytesMax } = this.#limits;
    return kept(this.#values, snapshot, `${query} ${column}`, () =>
      makeValueEncoder(snapshot, column, query, valueBytesMax),
    );
  }
}

class KeptEncoders<T> {
  readonly byKey = new Map<string, T>();
  /** What was asked for last is mostly asked for again; comparing two texts is less than hashing a new one. */
  lastKey: string | undefined = undefined;
  last: T | undefined = undefined;
}

/** `owner` is the snapshot, or a key of it: what is kept goes with it. */
function kept<O extends Snapshot | TableKey, T>(
  byOwner: WeakMap<O, KeptEncoders<T>>,
  owner: O,
  key: string,
  make: () => T,
): T {
  let encoders = byOwner.get(owner);
  if (encoders === undefined) {
    encoders = new KeptEncoders();
    byOwner.set(owner, encoders);
  }
  if (encoders.last !== undefined && encoders.lastKey === key) return encoders.last;
  const { byKey } = encoders;
  const known = byKey.get(key);
  const made = known ?? make();
  if (key.length > KEPT_CHARACTERS_MAX) return made;
  if (known === undefined && byKey.size >= ENCODERS_MAX) {
    const [oldest] = byKey.keys();
    if (oldest !== undefined) byKey.delete(oldest);
  }
  if (known === undefined) byKey.set(key, made);
  encoders.lastKey = key;
  encoders.last = made;
  return made;
}

function makeRowEncoder(snapshot: Snapshot, by: TableKey, query: string, bytesMax: number): RowEncoder {
  const parameters = parseQuery(query, ['columns', 'projection', 'int64', 'nonfinite']);
  const json = jsonOptions(parameters, snapshot.definition.json, bytesMax);
  const projection = snapshot.projection(columnsAsked(parameters, snapshot), json, by);
  return { projection, ...encoderOf(snapshot, projection.id, ['content-type', JSON_TYPE]) };
}

/** The content type of a value is the value's own and joins its headers later. */
function makeValueEncoder(snapshot: Snapshot, name: string, query: string, bytesMax: number): ValueEncoder {
  const parameters = parseQuery(query, ['int64', 'nonfinite']);
  const json: JsonOptions = jsonOptions(parameters, snapshot.definition.json, bytesMax);
  const column = snapshot.column(name);
  const { nested, ordinal } = column;
  const writer = nested ? new NestedWriter(ordinal, nested, json) : valueWriter(readableLeaf(column), json);
  return { column, writer, ...encoderOf(snapshot, `value-${column.ordinal}-${json.int64}-${json.nonfinite}`, []) };
}

function encoderOf(snapshot: Snapshot, encoderId: string, headers: readonly string[]): Encoder {
  const etag = `"${snapshot.id}-${createHash('sha256').update(encoderId).digest('hex').slice(0, 16)}"`;
  const common = [...headers, 'vary', 'accept', 'etag', etag, 'pointlake-snapshot', snapshot.id];
  return {
    etag,
    headers: {
      memory: new ReplyHeaders([...common, 'pointlake-cache', 'memory']),
      disk: new ReplyHeaders([...common, 'pointlake-cache', 'disk']),
      origin: new ReplyHeaders([...common, 'pointlake-cache', 'origin']),
    },
  };
}
