/**
 * SIGHUP: the tables of the configuration are read again, one reload after another.
 *
 * Only tables change while the server runs. What else changed in the file is named, since it needs a restart; a file that
 * is wrong is told in one line and changes nothing.
 */

import { isDeepStrictEqual } from 'node:util';
import type { NodeConfig } from './config.ts';
import type { ServedTables, TablesChange } from './served-tables.ts';

/** Sections by the name that they have in the file. */
const NEEDS_RESTART: Readonly<Record<Exclude<keyof NodeConfig, 'tables'>, string>> = {
  server: 'server',
  s3: 'storage.s3',
  hedge: 'storage.hedge',
  coalesce: 'storage.coalesce',
  prices: 'storage.prices',
  cacheMemoryBytes: 'cache.memory',
  cacheRowsBytes: 'cache.rows',
  disk: 'cache.disk',
  verifyCrc: 'parquet.verifyCrc',
  limits: 'limits',
};

export class Reload {
  readonly #tables: ServedTables;
  readonly #read: () => Promise<NodeConfig>;
  readonly #log: (line: string) => void;
  /** What the process was started with. */
  readonly #config: NodeConfig;
  #running: Promise<void> | undefined = undefined;
  #isWanted = false;

  constructor(tables: ServedTables, config: NodeConfig, read: () => Promise<NodeConfig>, log: (line: string) => void) {
    this.#tables = tables;
    this.#config = config;
    this.#read = read;
    this.#log = log;
  }

  /** Signals that come while one reload runs are one more. Never rejects. */
  request(): Promise<void> {
    this.#isWanted = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #run(): Promise<void> {
    while (this.#isWanted) {
      this.#isWanted = false;
      try {
        await this.#once();
      } catch (thrown) {
        const [reason] = (thrown instanceof Error ? thrown.message : String(thrown)).split('\n');
        this.#log(`SIGHUP: nothing was changed: ${reason}`);
      }
    }
  }

  async #once(): Promise<void> {
    const config = await this.#read();
    if (config.tables.length === 0) throw new Error('the configuration has no tables left');
    const sections = sectionsChanged(this.#config, config);
    if (sections.length > 0)
      this.#log(`SIGHUP: only tables are reloaded; a restart is needed for ${sections.join(', ')}`);
    this.#log(`SIGHUP: ${changeText(await this.#tables.change(config.tables))}`);
  }
}

function sectionsChanged(before: NodeConfig, now: NodeConfig): readonly string[] {
  const keys = Object.keys(NEEDS_RESTART) as (keyof typeof NEEDS_RESTART)[];
  return keys.filter((key) => !isDeepStrictEqual(before[key], now[key])).map((key) => NEEDS_RESTART[key]);
}

function changeText({ added, removed, changed, unchanged }: TablesChange): string {
  const listed = Object.entries({ added, removed, changed }).filter(([, names]) => names.length > 0);
  const parts = listed.map(([what, names]) => `${what} ${names.join(', ')}`);
  return `tables: ${[...parts, `${unchanged.length} as before`].join('; ')}`;
}
