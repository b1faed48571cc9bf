/**
 * The tables that a running server keeps open, and how they change with their configuration.
 *
 * A table whose definition is the same is left alone, with its snapshot and blocks. A changed one is opened beside the
 * old one, which serves until the new one has a snapshot of its own, however long that takes. Lookups under way end on
 * what they hold.
 */

import { isDeepStrictEqual } from 'node:util';
import type { Clock, ServiceError } from '../core/index.ts';
import type { PointlakeNode } from '../main.ts';
import { keepFresh, type RefreshEvents, type Table, type TableDefinition } from '../table/index.ts';

/** What a new list of tables came to, by name. */
export interface TablesChange {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly string[];
  readonly unchanged: readonly string[];
}

export interface ServedTablesEvents {
  onSnapshot(table: Table): void;
  onError(table: Table, error: ServiceError): void;
  /** A changed table took the place of the one before. */
  onReplaced(table: Table): void;
}

interface KeptTable {
  readonly table: Table;
  readonly stop: AbortController;
}

export class ServedTables {
  readonly #node: PointlakeNode;
  readonly #clock: Clock;
  readonly #events: ServedTablesEvents;
  readonly #stopping: AbortSignal;
  readonly #serving = new Map<string, KeptTable>();
  /** Changed tables that have no snapshot yet. */
  readonly #coming = new Map<string, KeptTable>();

  constructor(node: PointlakeNode, clock: Clock, events: ServedTablesEvents, stopping: AbortSignal) {
    this.#node = node;
    this.#clock = clock;
    this.#events = events;
    this.#stopping = stopping;
  }

  /** Opens every table of the node's catalog and keeps it fresh from then on; resolves when each was tried once. */
  async open(): Promise<void> {
    await Promise.all([...this.#node.catalog.tables()].map((table) => this.#serve(this.#keep(table))));
  }

  /** Makes these the tables. Added ones resolve when they were tried once; changed ones come when they are ready. */
  async change(definitions: readonly TableDefinition[]): Promise<TablesChange> {
    const wanted = new Set(definitions.map(({ name }) => name));
    const removed = [...this.#serving.keys()].filter((name) => !wanted.has(name));
    for (const name of removed) this.#remove(name);
    const added: TableDefinition[] = [];
    const changed: TableDefinition[] = [];
    const unchanged: string[] = [];
    for (const definition of definitions) {
      const serving = this.#serving.get(definition.name);
      if (serving === undefined) added.push(definition);
      else if (isDeepStrictEqual(serving.table.definition, definition)) unchanged.push(definition.name);
      else changed.push(definition);
    }
    for (const name of unchanged) this.#dropComing(name);
    for (const definition of changed) this.#replace(definition);
    await Promise.all(added.map((definition) => this.#add(definition)));
    return { added: added.map(nameOf), removed, changed: changed.map(nameOf), unchanged };
  }

  async #add(definition: TableDefinition): Promise<void> {
    const kept = this.#keep(this.#node.makeTable(definition));
    this.#node.catalog.put(kept.table);
    await this.#serve(kept);
  }

  #remove(name: string): void {
    this.#dropComing(name);
    const serving = this.#serving.get(name);
    this.#serving.delete(name);
    this.#node.catalog.remove(name);
    if (serving !== undefined) this.#close(serving);
  }

  #replace(definition: TableDefinition): void {
    const coming = this.#coming.get(definition.name);
    if (coming !== undefined && isDeepStrictEqual(coming.table.definition, definition)) return;
    this.#dropComing(definition.name);
    const kept = this.#keep(this.#node.makeTable(definition));
    this.#coming.set(definition.name, kept);
    void this.#openOnce(kept).then(() => this.#keepFresh(kept));
  }

  /** As soon as it has a snapshot. */
  #takePlace(kept: KeptTable): void {
    const { name } = kept.table;
    if (this.#coming.get(name) !== kept) return;
    this.#coming.delete(name);
    const before = this.#serving.get(name);
    this.#serving.set(name, kept);
    this.#node.catalog.put(kept.table);
    this.#preload(kept);
    this.#events.onReplaced(kept.table);
    if (before !== undefined) this.#close(before);
  }

  async #serve(kept: KeptTable): Promise<void> {
    this.#serving.set(kept.table.name, kept);
    await this.#openOnce(kept);
    this.#preload(kept);
    this.#keepFresh(kept);
  }

  async #openOnce({ table, stop }: KeptTable): Promise<void> {
    try {
      await table.refresh(stop.signal);
      this.#onSnapshot(table);
    } catch {
      if (table.error !== undefined && !stop.signal.aborted) this.#events.onError(table, table.error);
    }
  }

  #keepFresh({ table, stop }: KeptTable): void {
    const events: RefreshEvents = {
      onSnapshot: (refreshed) => this.#onSnapshot(refreshed),
      onError: (failed, error) => this.#events.onError(failed, error),
    };
    void keepFresh(table, this.#clock, events, stop.signal);
  }

  #onSnapshot(table: Table): void {
    this.#events.onSnapshot(table);
    const coming = this.#coming.get(table.name);
    if (coming?.table === table) this.#takePlace(coming);
  }

  #preload({ table, stop }: KeptTable): void {
    const { preload } = table.definition;
    if (preload !== undefined) void this.#node.preloader.keep(table, preload, stop.signal);
  }

  #dropComing(name: string): void {
    const coming = this.#coming.get(name);
    this.#coming.delete(name);
    if (coming !== undefined) this.#close(coming);
  }

  #close({ table, stop }: KeptTable): void {
    stop.abort(new Error(`table ${table.name} is served no more`));
    this.#node.forgetTable(table);
  }

  /** Ends with the server, or by itself. */
  #keep(table: Table): KeptTable {
    const stop = new AbortController();
    const onStopping = () => stop.abort(this.#stopping.reason);
    if (this.#stopping.aborted) onStopping();
    this.#stopping.addEventListener('abort', onStopping, { once: true, signal: stop.signal });
    return { table, stop };
  }
}

function nameOf({ name }: TableDefinition): string {
  return name;
}
