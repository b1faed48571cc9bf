/**
 * What was really read, in the words of the format: `cities.parquet row group 1, column name: data page 3`.
 *
 * The trace sits below the store that joins neighbouring ranges, so each line is one request as storage sees it.
 */

import { type ByteRange, rangeLength } from '../../src/core/index.ts';
import type { ObjectMeta, ObjectStore, StoreProvider } from '../../src/storage/index.ts';
import type { Snapshot, TableFile } from '../../src/table/index.ts';

export interface TracedGet {
  readonly object: ObjectMeta;
  readonly range: ByteRange;
}

export class IoTrace {
  readonly gets: TracedGet[] = [];

  /** For `NodeOptions.wrapStores`. */
  wrap = (stores: StoreProvider): StoreProvider => {
    const kept = new Map<ObjectStore, ObjectStore>();
    return {
      storeFor: (source) => {
        const inner = stores.storeFor(source);
        const known = kept.get(inner) ?? this.#traced(inner);
        kept.set(inner, known);
        return known;
      },
    };
  };

  #traced(inner: ObjectStore): ObjectStore {
    return {
      kind: inner.kind,
      cheapReads: inner.cheapReads,
      head: (key, options) => inner.head(key, options),
      list: (prefix, options) => inner.list(prefix, options),
      close: () => inner.close(),
      getRange: (object, range, options) => {
        this.gets.push({ object, range });
        return inner.getRange(object, range, options);
      },
    };
  }

  clear(): void {
    this.gets.length = 0;
  }

  bytes(): number {
    return this.gets.reduce((sum, { range }) => sum + rangeLength(range), 0);
  }

  /** One line a GET: how many bytes, and every part of the file that they hold. */
  describe(snapshot: Snapshot): readonly string[] {
    return this.gets.map(({ object, range }) => {
      const found = snapshot.files.find((file) => file.kind === 'readable' && file.file.object.key === object.key);
      const parts = found?.kind === 'readable' ? partsOf(found.file, range) : [];
      return `${rangeLength(range)} bytes: ${parts.length === 0 ? 'something else' : parts.join(' + ')}`;
    });
  }
}

function partsOf(file: TableFile, range: ByteRange): readonly string[] {
  const parts: string[] = [];
  const add = (part: ByteRange | undefined, name: string) => {
    if (part !== undefined && part.start >= range.start && part.end <= range.end) parts.push(name);
  };
  for (let rowGroup = 0; rowGroup < file.index.rowGroups; rowGroup++) {
    for (const leaf of file.index.schema.leaves) {
      const chunk = file.chunk(rowGroup, leaf.ordinal);
      const place = `row group ${rowGroup}, column ${leaf.name}:`;
      add(chunk.chunk.offsetIndexRange, `${place} offset index`);
      add(chunk.chunk.columnIndexRange, `${place} column index`);
      const locations = chunk.layout?.locations;
      add(locations?.dictionaryRange, `${place} dictionary page`);
      for (let page = 0; page < (locations?.pages ?? 0); page++) {
        add(locations?.range(page), `${place} data page ${page}`);
      }
    }
  }
  add({ start: file.object.sizeBytes - 8, end: file.object.sizeBytes }, 'footer');
  return parts;
}

/** The bytes of these parts, for asserting that a request fetched no more than its plan. */
export function pageBytes(snapshot: Snapshot, rowGroup: number, column: string, pages: readonly number[]): number {
  const [file] = snapshot.files;
  if (file?.kind !== 'readable') return 0;
  const position = file.leafPositions[snapshot.column(column).ordinal] ?? -1;
  const locations = file.file.chunk(rowGroup, position).layout?.locations;
  return pages.reduce((sum, page) => sum + (locations === undefined ? 0 : rangeLength(locations.range(page))), 0);
}
