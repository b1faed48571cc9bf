/** The tables that this server knows, by name; which ones these are may change while it runs. */

import { ServiceError } from '../core/index.ts';
import type { Snapshot } from './snapshot.ts';
import type { Table } from './table.ts';

export class Catalog {
  readonly #tables: Map<string, Table>;
  #changed: (before: Table | undefined, now: Table | undefined) => void = () => undefined;

  constructor(tables: readonly Table[]) {
    this.#tables = new Map(tables.map((table) => [table.name, table]));
  }

  /** To be told of tables that come, go and take another's place. */
  onChange(changed: (before: Table | undefined, now: Table | undefined) => void): void {
    this.#changed = changed;
  }

  names(): readonly string[] {
    return [...this.#tables.keys()];
  }

  tables(): Iterable<Table> {
    return this.#tables.values();
  }

  find(name: string): Table | undefined {
    return this.#tables.get(name);
  }

  get(name: string): Table {
    const table = this.find(name);
    if (table !== undefined) return table;
    const known = this.names().slice(0, 50);
    throw new ServiceError(
      'notFound',
      'unknown_table',
      `there is no table ${JSON.stringify(name)}; the tables are ${known.join(', ')}`,
      { table: name, known },
    );
  }

  /** Adds the table, or puts it in the place of the one of its name, which is answered. */
  put(table: Table): Table | undefined {
    const before = this.#tables.get(table.name);
    this.#tables.set(table.name, table);
    this.#changed(before, table);
    return before;
  }

  /** Answers the table that was there. */
  remove(name: string): Table | undefined {
    const before = this.#tables.get(name);
    this.#tables.delete(name);
    this.#changed(before, undefined);
    return before;
  }

  /** Every table that is not marked `required: false` has a snapshot. */
  ready(): boolean {
    for (const table of this.tables()) if (table.definition.required && table.snapshot === undefined) return false;
    return true;
  }

  refresh(name: string, signal?: AbortSignal): Promise<Snapshot> {
    return this.get(name).refresh(signal);
  }
}
