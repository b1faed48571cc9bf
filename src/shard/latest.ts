/**
 * The one row that is answered where a key may have several and it is not simply the first: the latest, or the only one.
 *
 *     candidate files --(waves)--> all rows of the key --> their `latest_by` values --> the greatest
 *
 * To know it every file that may hold the key has to be searched, and so they are searched at the same time: a wave
 * asks for all its key pages together, then for the values of all its matches together. Of the latest, waves go from
 * the greatest bound down (`LatestOrder`) and end where nothing later can come; of the only row, in the order of the files.
 *
 * Like `KeySearch` it is synchronous and resumable: `next()` answers, or says in `waiting` what it lacks. What cannot be
 * read might hold a later row or a second one, so that no answer is given then: `not_covered`, even where a row was found.
 */

import { ServiceError } from '../core/index.ts';
import {
  castFaultIn,
  folderValue,
  type Key,
  KeySearch,
  type LatestValues,
  type Need,
  Pins,
  type SearchScope,
  type SearchStep,
  type SearchTrace,
  type Snapshot,
  type TableColumn,
  type TableKey,
  tableValueAt,
  withinFile,
} from '../table/index.ts';
import { missingPages, type RowPlace } from './encode-row.ts';

/** Something to be loaded: into which pins, and who is told of what is broken. */
export interface Waiting {
  readonly needs: readonly Need[];
  readonly pins: Pins | undefined;
  fail(need: Need, error: ServiceError): void;
}

interface FileSearch {
  readonly search: KeySearch;
  /** In the snapshot. */
  readonly file: number;
}

interface Match {
  readonly place: RowPlace;
  /** Of the file, in the snapshot. */
  readonly file: number;
}

/** Files searched at the same time: enough for few round trips, few enough to hold their pages. */
const FILES_AT_ONCE_MAX = 64;
/** Matches whose values are read together. */
const MATCHES_AT_ONCE_MAX = 1024;

/** Whether the first row that is found is the one to answer. */
export function answersFirst({ definition }: Snapshot, by: TableKey): boolean {
  return by.isUnique || definition.duplicates.kind === 'first';
}

export class LatestSearch {
  /** After `found`. */
  match: RowPlace | undefined = undefined;
  /** After `needs`. */
  waiting: readonly Waiting[] = [];
  readonly uncovered: ServiceError[] = [];

  readonly #snapshot: Snapshot;
  readonly #key: Key;
  readonly #pins: Pins | undefined;
  readonly #trace: SearchTrace | undefined;
  readonly #scope: SearchScope;
  /** Candidates, in the order in which they are searched; those before `#at` are or were. */
  readonly #files: Uint32Array;
  #at = 0;
  /** How many files the next wave has at least. */
  #waveFiles: number;
  #searches: readonly FileSearch[] = [];
  /** Found, and not compared yet. */
  #matches: Match[] = [];
  #best: (Match & { readonly values: LatestValues }) | undefined = undefined;

  /** `pins` hold the pages that values are read from; undefined for a search that may not wait. */
  constructor(snapshot: Snapshot, key: Key, pins: Pins | undefined, scope: SearchScope, trace?: SearchTrace) {
    this.#snapshot = snapshot;
    this.#key = key;
    this.#pins = pins;
    this.#trace = trace;
    this.#scope = scope;
    this.#files = snapshot.latest?.inOrder(this.#scope.candidates) ?? inFileOrder(snapshot, this.#scope);
    this.#waveFiles = snapshot.latest === undefined ? FILES_AT_ONCE_MAX : 1;
  }

  next(): SearchStep {
    for (;;) {
      const step = this.#searchWave();
      if (step !== 'exhausted') return step;
      if (!this.#compare()) return 'needs';
      if (this.#searches.length === 0 && !this.#nextWave()) return this.#answer();
    }
  }

  /** Goes on with the files of the wave until each has ended, or lacks something, or enough was found to compare. */
  #searchWave(): 'needs' | 'paused' | 'exhausted' {
    const waiting: KeySearch[] = [];
    const open: FileSearch[] = [];
    for (const [i, one] of this.#searches.entries()) {
      const step = this.#searchFile(one);
      if (step === 'paused') {
        this.#searches = [...open, ...this.#searches.slice(i)];
        return 'paused';
      }
      if (step === 'needs') waiting.push(one.search);
      if (step === 'exhausted') this.uncovered.push(...one.search.uncovered);
      else open.push(one);
    }
    this.#searches = open;
    if (waiting.length === 0) return 'exhausted';
    this.waiting = waiting;
    return 'needs';
  }

  /** `found` where there are matches enough for now. */
  #searchFile({ search, file }: FileSearch): SearchStep {
    while (this.#matches.length < MATCHES_AT_ONCE_MAX) {
      const step = search.next();
      if (step !== 'found' || search.match === undefined) return step;
      this.#matches.push({ place: search.match, file });
    }
    return 'found';
  }

  /** Compares what was found with the best so far; false where values have to be read first. */
  #compare(): boolean {
    const { latest } = this.#snapshot;
    const lacking: Match[] = [];
    const isAlone = this.#best === undefined && this.#matches.length === 1 && this.#isLastWave();
    for (const match of this.#matches) {
      if (latest === undefined) this.#takeOnly(match);
      else if (isAlone) this.#best = { ...match, values: [] };
      else {
        const values = orderValues(match.place, latest.columns, this.#pins);
        if (values === undefined) lacking.push(match);
        else if (this.#isLater(match, values)) this.#best = { ...match, values };
      }
    }
    this.#matches = lacking;
    if (lacking.length > 0) this.waiting = [this.#valuesOf(lacking)];
    return lacking.length === 0;
  }

  #isLastWave(): boolean {
    return this.#searches.length === 0 && this.#at === this.#files.length;
  }

  #takeOnly(match: Match): void {
    if (this.#best !== undefined) throw duplicateKey(this.#snapshot, this.#scope.by, this.#best, match);
    this.#best = { ...match, values: [] };
  }

  #isLater({ place, file }: Match, values: LatestValues): boolean {
    const best = this.#best;
    if (best === undefined) return true;
    const order = this.#snapshot.latest?.compare(values, best.values) ?? 0;
    if (order !== 0) return order > 0;
    return file === best.file ? rowInFile(place) > rowInFile(best.place) : file > best.file;
  }

  #valuesOf(matches: readonly Match[]): Waiting {
    const pins = this.#pins ?? new Pins();
    const columns = this.#snapshot.latest?.columns ?? [];
    const needs = new Map<unknown, Map<number, Need>>();
    for (const { place } of matches) {
      for (const need of missingPages(place, columns, pins)) {
        const pages = needs.get(need.chunk) ?? new Map<number, Need>();
        needs.set(need.chunk, pages);
        if (need.kind !== 'page') pages.set(-1, need);
        else if (!pages.has(need.page)) pages.set(need.page, wholeBlock(need));
      }
    }
    const fail = (_need: Need, error: ServiceError) => {
      throw error;
    };
    return { needs: [...needs.values()].flatMap((pages) => [...pages.values()]), pins, fail };
  }

  /** At first the file of the greatest bound with those that it may meet, then twice as many each time. */
  #nextWave(): boolean {
    const { latest } = this.#snapshot;
    const first = this.#files[this.#at] ?? 0;
    const values = this.#best?.values;
    const wave: FileSearch[] = [];
    while (this.#at < this.#files.length && wave.length < FILES_AT_ONCE_MAX) {
      const file = this.#files[this.#at] ?? 0;
      if (latest !== undefined && values !== undefined && !latest.mayBeLater(file, values)) {
        this.#trace?.passedEarlier(this.#files.length - this.#at);
        this.#at = this.#files.length;
        break;
      }
      if (wave.length >= this.#waveFiles && latest?.mayMeet(file, first) !== true) break;
      const pins = this.#pins && new Pins();
      const scope = withinFile(this.#scope, file);
      wave.push({ search: new KeySearch(this.#snapshot, this.#key, pins, scope, this.#trace), file });
      this.#at += 1;
    }
    this.#searches = wave;
    this.#waveFiles = Math.min(FILES_AT_ONCE_MAX, this.#waveFiles * 2);
    return wave.length > 0;
  }

  #answer(): 'found' | 'exhausted' {
    if (this.#best === undefined) return 'exhausted';
    const [first] = this.uncovered;
    if (first !== undefined) throw unsure(this.uncovered, first);
    this.match = this.#best.place;
    return 'found';
  }
}

/** Several rows of a page may be wanted. */
function wholeBlock({ kind, file, chunk, page, row = 0 }: Need & { readonly kind: 'page' }): Need {
  return { kind, file, chunk, page, row };
}

function inFileOrder({ files }: Snapshot, { candidates }: SearchScope): Uint32Array {
  const found: number[] = [];
  for (let file = candidates.next(0); file < files.length; file = candidates.next(file + 1)) found.push(file);
  return Uint32Array.from(found);
}

/** Of a row, to compare it by; undefined where a page is not in memory. They stay as they are whatever happens to the page. */
export function orderValues(
  { file, rowGroup, row }: RowPlace,
  columns: readonly TableColumn[],
  pins: Pins | undefined,
): LatestValues | undefined {
  const values: LatestValues[number][] = [];
  for (const column of columns) {
    const position = file.leafPositions[column.ordinal] ?? -1;
    if (position < 0) {
      values.push(folderValue(file, column)?.key);
      continue;
    }
    const at = file.file.chunk(rowGroup, position).at(row, pins);
    if (at === undefined) return undefined;
    const inBlock = row - at.firstRow;
    if (at.block.isNull(inBlock)) values.push(undefined);
    else {
      try {
        const value = tableValueAt(file.mapping, file.file.index.schema, column, at.block, inBlock);
        values.push(value instanceof Uint8Array ? value.slice() : value);
      } catch (thrown) {
        throw castFaultIn(thrown, file.file.object.key, rowGroup);
      }
    }
  }
  return values;
}

function rowInFile({ file, rowGroup, row }: RowPlace): number {
  return file.file.index.rowGroupFirstRow(rowGroup) + row;
}

function duplicateKey({ definition }: Snapshot, by: TableKey, ...matches: readonly Match[]): ServiceError {
  const places = matches.map(
    ({ place: { file, rowGroup, row } }) => `row ${row} of row group ${rowGroup} of ${file.file.object.key}`,
  );
  const key = by.name === undefined ? 'the key' : `the key ${by.name}`;
  const message = `${key} of table ${definition.name} is to be had once, but ${places.join(' and ')} have it; remove one of them, or choose \`duplicates: first\` or \`latest\``;
  return new ServiceError('internal', 'duplicate_key', message, { table: definition.name, places });
}

/** A row was found, and another that would count may be where nothing could be read. */
function unsure(uncovered: readonly ServiceError[], first: ServiceError): ServiceError {
  const changing = uncovered.find(({ code }) => code === 'snapshot_changing');
  if (changing !== undefined) return changing;
  const files = [...new Set(uncovered.map(({ context }) => String(context.file ?? 'unknown')))].slice(0, 10);
  const message = `a row of the key was found, but another that would count may be in ${files.join(', ')}: ${first.message}`;
  return new ServiceError('unavailable', 'not_covered', message, { files }, first);
}
