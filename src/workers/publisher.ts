/**
 * What the main loop tells serving threads: every table that it serves, its files, and what comes and goes of them in memory.
 *
 * A thread that knows less than there is, or later, answers less by itself, and never wrong: files, layouts, dictionaries and
 * runs of key indexes are immutable; places of blocks are shared memory; and which snapshot a table serves is numbered, by a word
 * that all threads see at once: whoever was not told of the latest number yet passes everything on.
 */

import { ReaderEpochs, type SlabReaders } from '../cache/index.ts';
import { assert } from '../core/index.ts';
import type { KeyRun } from '../keyindex/index.ts';
import type { Block } from '../parquet/index.ts';
import type { LoopReport } from '../server/index.ts';
import {
  type Catalog,
  type ChunkLayout,
  encodeLayout,
  type FileAudience,
  type Snapshot,
  type Table,
  type TableFile,
} from '../table/index.ts';
import type { Answered, Told, ToldIndex } from './messages.ts';

/** A thread, as far as it can be told things. */
export interface Listener {
  postMessage(message: Told): void;
}

/** What waits for an answer of every thread that was asked. */
interface Asked {
  readonly missing: Set<Listener>;
  readonly answers: Answered[];
  readonly done: (answers: readonly Answered[]) => void;
}

export class Publisher implements FileAudience, SlabReaders {
  readonly epochs: ReaderEpochs = new ReaderEpochs();
  /** One word in shared memory. */
  readonly version: Int32Array = new Int32Array(new SharedArrayBuffer(4));
  readonly #listeners = new Set<Listener>();
  readonly #files = new Set<TableFile>();
  /** By table of the catalog; the snapshot that serves. */
  readonly #served = new Map<Table, Snapshot>();
  readonly #indexes = new WeakMap<Snapshot, Map<number, ToldIndex>>();
  readonly #asked = new Map<number, Asked>();
  #tickets = 0;
  #catalog: Catalog | undefined = undefined;
  #slabs: (() => Iterable<readonly [slab: number, buffer: SharedArrayBuffer]>) | undefined = undefined;

  /** To be called once, before anything is served. */
  watch(catalog: Catalog, slabs: () => Iterable<readonly [slab: number, buffer: SharedArrayBuffer]>): void {
    assert(this.#catalog === undefined, 'a publisher watches one node');
    this.#catalog = catalog;
    this.#slabs = slabs;
    catalog.onChange((before, now) => this.#replaced(before, now));
  }

  /** The thread is told all that there is, and from then on what changes. */
  join(listener: Listener): void {
    for (const [slab, buffer] of this.#slabs?.() ?? []) listener.postMessage({ kind: 'slab', slab, buffer });
    const only = new Publisher.#Copy(listener);
    for (const file of this.#files) {
      listener.postMessage(fileMessage(file));
      file.describeTo(only);
    }
    for (const [table, snapshot] of this.#served) listener.postMessage(this.#message(table, snapshot));
    this.#listeners.add(listener);
  }

  /** The thread has ended. */
  leave(listener: Listener): void {
    this.#listeners.delete(listener);
    for (const [ticket, asked] of this.#asked) this.#answered(ticket, asked, listener, undefined);
  }

  answered(listener: Listener, answer: Answered & { readonly ticket: number }): void {
    const asked = this.#asked.get(answer.ticket);
    if (asked !== undefined) this.#answered(answer.ticket, asked, listener, answer);
  }

  /** To be called in the moment in which the table switches to the snapshot, or confirms it. */
  publish(table: Table, snapshot: Snapshot): void {
    const isServed = [...(this.#catalog?.tables() ?? [])].includes(table);
    if (isServed) this.#show(table, snapshot);
  }

  /** What there is of an index of a snapshot; `undefined`: only this loop can use it now. */
  indexed(snapshot: Snapshot, key: number, runs: readonly KeyRun[] | undefined): void {
    const shared = runs?.map((run) => run.share());
    const known = shared?.filter((bytes) => bytes !== undefined);
    const index = {
      key,
      runs: known === undefined || known.length < (shared?.length ?? 0) ? 'elsewhere' : known,
    } as const;
    const byKey = this.#indexes.get(snapshot) ?? new Map<number, ToldIndex>();
    this.#indexes.set(snapshot, byKey.set(key, index));
    for (const [{ name }, served] of this.#served) if (served === snapshot) this.#tell({ kind: 'index', name, index });
  }

  /** What all threads have to tell; counts since this was last asked. */
  async takeReports(): Promise<readonly LoopReport[]> {
    const answers = await this.#ask((ticket) => ({ kind: 'report', ticket }));
    return answers.flatMap((answer) => (answer.kind === 'reported' ? [answer.report] : []));
  }

  slabAdded(slab: number, buffer: SharedArrayBuffer): void {
    this.#tell({ kind: 'slab', slab, buffer });
  }

  async slabDropped(slab: number): Promise<void> {
    await this.#ask((ticket) => ({ kind: 'noSlab', slab, ticket }));
  }

  layout(file: TableFile, rowGroup: number, column: number, layout: ChunkLayout | undefined): void {
    if (this.#listeners.size > 0) this.#tell(layoutMessage(file, rowGroup, column, layout));
  }

  places({ number: file }: TableFile, rowGroup: number, words: Int32Array): void {
    this.#tell({ kind: 'places', file, rowGroup, words });
  }

  dictionary(file: TableFile, rowGroup: number, column: number, dictionary: Block | undefined): void {
    this.#tell(dictionaryMessage(file, rowGroup, column, dictionary));
  }

  released(file: TableFile): void {
    this.#files.delete(file);
    this.#tell({ kind: 'noFile', file: file.number });
  }

  #show(table: Table, snapshot: Snapshot): void {
    if (this.#served.get(table) === snapshot) {
      this.#tell({ kind: 'confirmed', name: table.name, confirmedAtMs: snapshot.confirmedAtMs });
      return;
    }
    this.#served.set(table, snapshot);
    for (const file of snapshot.files) if (file.kind === 'readable') this.#showFile(file.file);
    Atomics.add(this.version, 0, 1);
    this.#tell(this.#message(table, snapshot));
  }

  #showFile(file: TableFile): void {
    if (this.#files.has(file) || file.isReleased) return;
    this.#files.add(file);
    this.#tell(fileMessage(file));
    file.tell(this);
  }

  /** In the catalog. */
  #replaced(before: Table | undefined, now: Table | undefined): void {
    if (before !== undefined) this.#served.delete(before);
    if (now?.snapshot !== undefined) this.#show(now, now.snapshot);
    else if (before !== undefined) {
      const version = Atomics.add(this.version, 0, 1) + 1;
      this.#tell({ kind: 'noTable', name: before.name, version });
    }
  }

  #message({ definition }: Table, snapshot: Snapshot): Told {
    const { files, createdAtMs, confirmedAtMs } = snapshot;
    return {
      kind: 'table',
      version: Atomics.load(this.version, 0),
      definition,
      files: files.map((file) =>
        file.kind === 'readable' ? file.file.number : { object: file.object, error: file.error.toPlain() },
      ),
      createdAtMs,
      confirmedAtMs,
      indexes: [...(this.#indexes.get(snapshot)?.values() ?? [])],
    };
  }

  #tell(message: Told): void {
    for (const listener of this.#listeners) listener.postMessage(message);
  }

  #ask(question: (ticket: number) => Told): Promise<readonly Answered[]> {
    if (this.#listeners.size === 0) return Promise.resolve([]);
    this.#tickets += 1;
    const ticket = this.#tickets;
    return new Promise((done) => {
      this.#asked.set(ticket, { missing: new Set(this.#listeners), answers: [], done });
      this.#tell(question(ticket));
    });
  }

  #answered(ticket: number, asked: Asked, listener: Listener, answer: Answered | undefined): void {
    if (!asked.missing.delete(listener)) return;
    if (answer !== undefined) asked.answers.push(answer);
    if (asked.missing.size > 0) return;
    this.#asked.delete(ticket);
    asked.done(asked.answers);
  }

  /** What is known of a file, for one thread alone. */
  static readonly #Copy = class implements FileAudience {
    readonly #to: Listener;

    constructor(to: Listener) {
      this.#to = to;
    }

    layout(file: TableFile, rowGroup: number, column: number, layout: ChunkLayout | undefined): void {
      this.#to.postMessage(layoutMessage(file, rowGroup, column, layout));
    }

    places({ number: file }: TableFile, rowGroup: number, words: Int32Array): void {
      this.#to.postMessage({ kind: 'places', file, rowGroup, words });
    }

    dictionary(file: TableFile, rowGroup: number, column: number, dictionary: Block | undefined): void {
      this.#to.postMessage(dictionaryMessage(file, rowGroup, column, dictionary));
    }

    released(): void {}
  };
}

function fileMessage(file: TableFile): Told {
  return { kind: 'file', file: file.number, object: file.object, index: file.index.share() };
}

function layoutMessage(
  { number: file }: TableFile,
  rowGroup: number,
  column: number,
  layout: ChunkLayout | undefined,
): Told {
  const bytes = layout && inSharedMemory(encodeLayout(layout));
  return { kind: 'layout', file, rowGroup, column, bytes };
}

/** Dictionaries lie in shared memory of their own. */
function dictionaryMessage(
  { number: file }: TableFile,
  rowGroup: number,
  column: number,
  dictionary: Block | undefined,
): Told {
  const bytes = dictionary && new Uint8Array(dictionary.buffer);
  return { kind: 'dictionary', file, rowGroup, column, bytes };
}

function inSharedMemory(bytes: Uint8Array): Uint8Array {
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.byteLength));
  shared.set(bytes);
  return shared;
}
