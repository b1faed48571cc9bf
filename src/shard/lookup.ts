/**
 * The lookup engine: from a key and a projection to the text of a row.
 *
 * Each question has two doors. `try...` is synchronous and answers from memory alone, or says `undefined` when something
 * is missing; no promise is made between request and reply. The asynchronous door runs the same search and the same
 * encoders, and loads what they need between their steps, holding every page it waited for.
 *
 *     locate:  KeySearch.next()  -> needs -> load -> next() ...  -> (file, row group, row), or provably absent
 *     read:    one block a column, missing ones loaded together  -> encode
 */

import { asServiceError, type PlainError, ServiceError } from '../core/index.ts';
import { Gate } from '../storage/index.ts';
import {
  type BlockAt,
  type BlockWriter,
  CastValues,
  castFaultIn,
  type Key,
  KeySearch,
  NESTED,
  type Need,
  NestedWriter,
  type Pins,
  type Projection,
  positionsOf,
  type RawValue,
  type Snapshot,
  type SnapshotReadableFile,
  type Table,
  type TableColumn,
  type ValueWriter,
} from '../table/index.ts';
import type { PageLoader } from './page-loader.ts';

const otherRequests = () => new Promise<void>((resolve) => setImmediate(resolve));

/** The slowest tier that an answer had to touch. */
export type Tier = 'memory' | 'origin';

export interface RowAnswer {
  /** The row as a JSON object; null when the key is provably absent. */
  readonly json: string | null;
  readonly tier: Tier;
  readonly snapshot: Snapshot;
}

export type ValueAnswer =
  | { readonly kind: 'absent' | 'null'; readonly tier: Tier; readonly snapshot: Snapshot }
  | { readonly kind: 'value'; readonly value: RawValue; readonly tier: Tier; readonly snapshot: Snapshot };

export type LookupItem =
  | { readonly status: 'found'; readonly row: string }
  | { readonly status: 'found'; readonly rows: readonly string[]; readonly truncated: boolean }
  | { readonly status: 'not_found' | 'timeout' }
  | { readonly status: 'error' | 'not_covered'; readonly error: PlainError };

export interface LookupOptions {
  readonly matches: 'first' | 'all';
  /** Rows a key with `matches: all`. */
  readonly limit: number;
}

export interface LookupAnswer {
  /** In the order of the keys. */
  readonly items: readonly LookupItem[];
  readonly tier: Tier;
  readonly snapshot: Snapshot;
}

export interface LookupEngineOptions {
  /** Lookups that may wait for storage at once; four times as many may queue. */
  readonly coldLookupsMax: number;
}

const LOOKUP_ENGINE_DEFAULTS: LookupEngineOptions = { coldLookupsMax: 256 };

/** Keys of one batch that wait for storage at once. */
const BATCH_COLD_MAX = 64;

interface RowPlace {
  readonly file: SnapshotReadableFile;
  readonly rowGroup: number;
  readonly row: number;
}

export class LookupEngine {
  readonly #loader: PageLoader;
  readonly #cold: Gate;

  constructor(loader: PageLoader, options: LookupEngineOptions = LOOKUP_ENGINE_DEFAULTS) {
    this.#loader = loader;
    this.#cold = new Gate({
      maxConcurrent: options.coldLookupsMax,
      maxQueued: options.coldLookupsMax * 4,
      name: 'lookups that read storage',
      code: 'overloaded',
    });
  }

  /** The row's JSON text, null when the key is provably absent, undefined when something is not in memory. */
  tryRow(snapshot: Snapshot, key: Key, projection: Projection): string | null | undefined {
    const place = locateNow(snapshot, key);
    return place === null || place === undefined ? place : encodeRow(place, projection, undefined);
  }

  /** The value, or undefined when something is not in memory. */
  tryValue(
    snapshot: Snapshot,
    key: Key,
    column: TableColumn,
    writer: ValueWriter | NestedWriter,
  ): ValueAnswer | undefined {
    const place = locateNow(snapshot, key);
    if (place === undefined) return undefined;
    if (place === null) return { kind: 'absent', tier: 'memory', snapshot };
    return encodeValue(place, column, writer, undefined, 'memory', snapshot);
  }

  async row(snapshot: Snapshot, key: Key, projection: Projection, signal: AbortSignal): Promise<RowAnswer> {
    return this.#cold.run(async () => {
      const read = new ColdRead(this.#loader, signal);
      const place = await read.first(snapshot, key);
      if (place === null) return { json: null, tier: read.tier, snapshot };
      const json = await read.until(
        () => encodeRow(place, projection, read.pins),
        () => missingPages(place, projection.columns, read.pins),
      );
      return { json, tier: read.tier, snapshot };
    }, signal);
  }

  async value(
    snapshot: Snapshot,
    key: Key,
    column: TableColumn,
    writer: ValueWriter | NestedWriter,
    signal: AbortSignal,
  ): Promise<ValueAnswer> {
    return this.#cold.run(async () => {
      const read = new ColdRead(this.#loader, signal);
      const place = await read.first(snapshot, key);
      if (place === null) return { kind: 'absent', tier: read.tier, snapshot };
      return read.until(
        () => encodeValue(place, column, writer, read.pins, read.tier, snapshot),
        () => missingPages(place, [column], read.pins),
      );
    }, signal);
  }

  /**
   * Many keys of one snapshot. Keys in memory are answered at once, the rest together; a bad key is its own item and
   * spoils no other. When the signal aborts, what is still open answers `timeout`.
   */
  lookup(
    snapshot: Snapshot,
    keys: readonly (Key | ServiceError)[],
    projection: Projection,
    options: LookupOptions,
    signal: AbortSignal,
  ): LookupAnswer | Promise<LookupAnswer> {
    const items = keys.map((key) => this.#itemNow(snapshot, key, projection, options));
    const open = items.flatMap((item, at) => (item === undefined ? [at] : []));
    if (open.length === 0) return { items: items as LookupItem[], tier: 'memory', snapshot };
    return this.#lookupCold(snapshot, keys, items, open, projection, options, signal);
  }

  #itemNow(
    snapshot: Snapshot,
    key: Key | ServiceError,
    projection: Projection,
    options: LookupOptions,
  ): LookupItem | undefined {
    if (key instanceof ServiceError) return { status: 'error', error: key.toPlain() };
    try {
      if (options.matches === 'all') return itemOfAll(allNow(snapshot, key, projection, options.limit), options);
      return itemOfRow(this.tryRow(snapshot, key, projection));
    } catch (thrown) {
      return itemOfError(asServiceError(thrown));
    }
  }

  async #lookupCold(
    snapshot: Snapshot,
    keys: readonly (Key | ServiceError)[],
    items: (LookupItem | undefined)[],
    open: readonly number[],
    projection: Projection,
    options: LookupOptions,
    signal: AbortSignal,
  ): Promise<LookupAnswer> {
    const queue = open.values();
    let changed: ServiceError | undefined;
    const lane = async () => {
      for (const at of queue) {
        const key = keys[at];
        if (key === undefined || key instanceof ServiceError) continue;
        try {
          items[at] = await this.#itemCold(snapshot, key, projection, options, signal);
        } catch (thrown) {
          const error = asServiceError(thrown);
          if (error.kind === 'changed') changed = error;
          items[at] = signal.aborted ? { status: 'timeout' } : itemOfError(error);
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(BATCH_COLD_MAX, open.length) }, lane));
    // An object that changed under us spoils the snapshot, so the whole request starts again.
    if (changed !== undefined) throw changed;
    return { items: items as LookupItem[], tier: 'origin', snapshot };
  }

  #itemCold(
    snapshot: Snapshot,
    key: Key,
    projection: Projection,
    options: LookupOptions,
    signal: AbortSignal,
  ): Promise<LookupItem> {
    if (options.matches === 'first') {
      return this.row(snapshot, key, projection, signal).then(({ json }) => itemOfRow(json) ?? { status: 'not_found' });
    }
    return this.#cold.run(async () => {
      const read = new ColdRead(this.#loader, signal);
      return itemOfAll(await read.all(snapshot, key, projection, options.limit), options) ?? { status: 'not_found' };
    }, signal);
  }
}

/** Runs a request on the table's snapshot, once more on a fresh one when an object changed while it was read. */
export async function withFreshSnapshot<T>(
  table: Table,
  snapshot: Snapshot,
  signal: AbortSignal,
  request: (snapshot: Snapshot) => Promise<T>,
): Promise<T> {
  try {
    return await request(snapshot);
  } catch (thrown) {
    if (!(thrown instanceof ServiceError) || thrown.kind !== 'changed') throw thrown;
    const fresh = await table.refresh(signal);
    return await request(fresh);
  }
}

/** One waiting lookup: the pages it holds, and whether it had to load any. */
class ColdRead {
  readonly pins: Pins = new Map();
  tier: Tier = 'memory';
  readonly #loader: PageLoader;
  readonly #signal: AbortSignal;

  constructor(loader: PageLoader, signal: AbortSignal) {
    this.#loader = loader;
    this.#signal = signal;
  }

  async first(snapshot: Snapshot, key: Key): Promise<RowPlace | null> {
    const search = new KeySearch(snapshot, key, this.pins);
    return this.#next(search);
  }

  async all(snapshot: Snapshot, key: Key, projection: Projection, limit: number): Promise<readonly string[]> {
    const search = new KeySearch(snapshot, key, new Map());
    const rows: string[] = [];
    // One row more than the limit tells whether there are more.
    while (rows.length <= limit) {
      const place = await this.#next(search);
      if (place === null) break;
      this.pins.clear();
      rows.push(
        await this.until(
          () => encodeRow(place, projection, this.pins),
          () => missingPages(place, projection.columns, this.pins),
        ),
      );
    }
    return rows;
  }

  /** Tries until the answer no longer lacks a page, loading the missing ones together. */
  async until<T>(attempt: () => T | undefined, missing: () => readonly Need[]): Promise<T> {
    for (;;) {
      const answer = attempt();
      if (answer !== undefined) return answer;
      await this.#load(missing(), this.pins);
    }
  }

  async #next(search: KeySearch): Promise<RowPlace | null> {
    for (;;) {
      const step = search.next();
      if (step === 'found') return search.match ?? null;
      if (step === 'exhausted') return absence(search);
      if (step === 'paused') {
        await otherRequests();
        this.#signal.throwIfAborted();
        continue;
      }
      this.tier = 'origin';
      const failed = await this.#loader.load(search.needs, search.pins ?? this.pins, this.#signal);
      for (const { need, error } of failed) search.fail(need, error);
    }
  }

  async #load(needs: readonly Need[], pins: Pins): Promise<void> {
    this.tier = 'origin';
    const [failed] = await this.#loader.load(needs, pins, this.#signal);
    if (failed !== undefined) throw failed.error;
  }
}

function locateNow(snapshot: Snapshot, key: Key): RowPlace | null | undefined {
  const search = new KeySearch(snapshot, key, undefined);
  const step = search.next();
  if (step === 'needs' || step === 'paused') return undefined;
  return step === 'found' ? search.match : absence(search);
}

/** Null when the key is provably absent; throws `not_covered` when something that might hold it could not be read. */
function absence(search: KeySearch): null {
  const [first] = search.uncovered;
  if (first === undefined) return null;
  const files = [...new Set(search.uncovered.map((error) => String(error.context['file'] ?? 'unknown')))].slice(0, 10);
  throw new ServiceError(
    'unavailable',
    'not_covered',
    `the key was not found in what could be read, but it may be in ${files.join(', ')}: ${first.message}`,
    { files },
    first,
  );
}

/** Every match up to one more than the limit, or undefined when something is not in memory. */
function allNow(snapshot: Snapshot, key: Key, projection: Projection, limit: number): readonly string[] | undefined {
  const search = new KeySearch(snapshot, key, undefined);
  const rows: string[] = [];
  while (rows.length <= limit) {
    const step = search.next();
    if (step === 'needs' || step === 'paused') return undefined;
    if (step === 'exhausted') {
      absence(search);
      break;
    }
    const row = search.match && encodeRow(search.match, projection, undefined);
    if (row === undefined) return undefined;
    rows.push(row);
  }
  return rows;
}

function encodeRow(place: RowPlace, projection: Projection, pins: Pins | undefined): string | undefined {
  const { mapping, file } = place.file;
  if (mapping.casts === undefined) return writeRow(place, projection, projection.writers, pins);
  try {
    return writeRow(place, projection, projection.writersFor(mapping), pins);
  } catch (thrown) {
    throw castFaultIn(thrown, file.object.key, place.rowGroup);
  }
}

function writeRow(
  place: RowPlace,
  { fragments, columns, nested, closing }: Projection,
  writers: readonly BlockWriter[],
  pins: Pins | undefined,
): string | undefined {
  let json = '';
  for (let i = 0; i < columns.length; i++) {
    const position = place.file.leafPositions[columns[i]?.ordinal ?? -1] ?? -1;
    if (position < 0) {
      const text = position === NESTED ? nestedText(place, nested[i], pins) : 'null';
      if (text === undefined) return undefined;
      json += fragments[i] + text;
      continue;
    }
    const at = place.file.file.chunk(place.rowGroup, position).at(place.row, pins);
    if (at === undefined) return undefined;
    json += fragments[i] + (writers[i] as (typeof writers)[number])(at.block, place.row - at.firstRow);
  }
  return json + closing;
}

/** The value of a nested column, or undefined when a page of one of its leaves is missing. */
function nestedText(place: RowPlace, writer: NestedWriter | undefined, pins: Pins | undefined): string | undefined {
  const { file, mapping } = place.file;
  const assembly = writer?.assemblyFor(mapping);
  if (assembly === undefined) return 'null';
  const blocks: BlockAt[] = [];
  for (const leaf of assembly.leaves) {
    const at = file.chunk(place.rowGroup, leaf.ordinal).at(place.row, pins);
    if (at === undefined) return undefined;
    blocks.push(at);
  }
  try {
    return assembly.json(blocks, place.row);
  } catch (thrown) {
    throw castFaultIn(thrown, file.object.key, place.rowGroup);
  }
}

function encodeValue(
  place: RowPlace,
  column: TableColumn,
  writer: ValueWriter | NestedWriter,
  pins: Pins | undefined,
  tier: Tier,
  snapshot: Snapshot,
): ValueAnswer | undefined {
  if (writer instanceof NestedWriter) {
    const body = nestedText(place, writer, pins);
    if (body === undefined) return undefined;
    if (body === 'null') return { kind: 'null', tier, snapshot };
    return { kind: 'value', value: { contentType: 'application/json', body }, tier, snapshot };
  }
  const position = place.file.leafPositions[column.ordinal] ?? -1;
  if (position < 0) return { kind: 'null', tier, snapshot };
  const at: BlockAt | undefined = place.file.file.chunk(place.rowGroup, position).at(place.row, pins);
  if (at === undefined) return undefined;
  const value = writeValue(place, column, writer, at);
  return value === undefined ? { kind: 'null', tier, snapshot } : { kind: 'value', value, tier, snapshot };
}

function writeValue(place: RowPlace, column: TableColumn, writer: ValueWriter, at: BlockAt): RawValue | undefined {
  const { mapping, file } = place.file;
  const row = place.row - at.firstRow;
  const cast = mapping.casts?.[column.ordinal];
  if (cast === undefined) return writer(at.block, row);
  try {
    return writer(new CastValues(at.block, cast), row);
  } catch (thrown) {
    throw castFaultIn(thrown, file.object.key, place.rowGroup);
  }
}

/** The layouts, then the pages, that these columns of the row still lack. */
function missingPages(place: RowPlace, columns: readonly TableColumn[], pins: Pins): readonly Need[] {
  const file = place.file.file;
  const needs: Need[] = [];
  for (const column of columns) {
    for (const position of positionsOf(place.file.mapping, column)) {
      const chunk = file.chunk(place.rowGroup, position);
      if (chunk.layout === undefined) needs.push({ kind: 'layout', file, chunk });
      else if (chunk.at(place.row, pins) === undefined) {
        needs.push({ kind: 'page', file, chunk, page: chunk.layout.locations.pageOf(place.row) });
      }
    }
  }
  return needs;
}

function itemOfRow(json: string | null | undefined): LookupItem | undefined {
  if (json === undefined) return undefined;
  return json === null ? { status: 'not_found' } : { status: 'found', row: json };
}

function itemOfAll(rows: readonly string[] | undefined, { limit }: LookupOptions): LookupItem | undefined {
  if (rows === undefined) return undefined;
  if (rows.length === 0) return { status: 'not_found' };
  return { status: 'found', rows: rows.slice(0, limit), truncated: rows.length > limit };
}

function itemOfError(error: ServiceError): LookupItem {
  return { status: error.code === 'not_covered' ? 'not_covered' : 'error', error: error.toPlain() };
}
