/**
 * A key index through thousands of random steps against a plain map of the rows that were written: files join, leave and are
 * replaced, in one step or several, while it is built; the process ends in order, or at any moment; a byte of a run changes on disk.
 * After each step keys have exactly the rows of the map, whether the index is there yet or not.
 */

import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { TableIndexing } from '../../src/shard/index.ts';
import type { Table } from '../../src/table/index.ts';
import { FUZZ_SEED, randomFrom } from '../parquet/support/property.ts';
import { noDeadline, nodeOf } from '../support/one-node.ts';
import { sampled } from '../support/sampled.ts';
import { scratchFolder, writeParquet } from '../support/scratch.ts';

const STEPS = Number(process.env.FUZZ_RUNS ?? sampled(250, 3000));
const FILES = 9;
const ROWS_MAX = 60;
/** So few that keys repeat within files and between them. */
const KEYS = 150;
const CHECKED = 12;

/** By file, the key of each row; undefined where there is no file. */
type Model = ((number | null)[] | undefined)[];

class Steps {
  readonly #context: TestContext;
  readonly #random: () => number;
  readonly #folder: string;
  readonly #model: Model = Array.from({ length: FILES });
  #disk: string;
  #version = 0;
  #opened: { readonly node: ReturnType<typeof nodeOf>; readonly table: Table; readonly indexing: TableIndexing };
  readonly counts: Record<string, number> = {};

  constructor(context: TestContext, random: () => number) {
    this.#context = context;
    this.#random = random;
    this.#folder = scratchFolder(context);
    this.#disk = scratchFolder(context);
    this.#write(0);
    this.#opened = this.#open();
  }

  async run(steps: number): Promise<void> {
    await this.#opened.table.refresh();
    for (let step = 0; step < steps; step++) {
      const told = `seed ${FUZZ_SEED}, step ${step}`;
      await this.#step();
      await this.#opened.table.refresh();
      await this.#check(told);
      if (this.#random() < 0.6) await this.#checkBuilt(told);
    }
  }

  #count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  #open() {
    const options = { index: 'hash', maxShrink: 1 } as const;
    const node = nodeOf(this.#context, [{ name: 't', source: `${this.#folder}/`, key: ['k'], options }], {
      disk: { path: this.#disk, sizeBytes: 64 * 2 ** 20 },
    });
    const table = node.catalog.get('t');
    const [indexing] = node.indexings(table);
    assert.ok(indexing !== undefined);
    return { node, table, indexing };
  }

  #pathOf(ordinal: number): string {
    return join(this.#folder, `${ordinal}.parquet`);
  }

  #write(ordinal: number): void {
    this.#version += 1;
    const keys = Array.from({ length: 1 + this.#below(ROWS_MAX) }, () =>
      this.#random() < 0.05 ? null : this.#below(KEYS) * 2,
    );
    writeParquet(
      this.#pathOf(ordinal),
      [
        { name: 'k', data: keys, type: 'INT32', nullable: true },
        { name: 'v', data: keys.map((_, row) => `${ordinal} ${this.#version} ${row}`), type: 'STRING' },
      ],
      { rowsPerRowGroup: 5 + this.#below(40), pageBytes: 32 + this.#below(200) },
    );
    this.#model[ordinal] = keys;
    this.#versions[ordinal] = this.#version;
  }

  readonly #versions: number[] = [];

  async #step(): Promise<void> {
    const kind = this.#random();
    if (kind < 0.75) {
      for (let changes = 1 + this.#below(3); changes > 0; changes--) this.#change();
      this.#count('changed');
      // Some while before the next listing, so that merges are cut at any point.
      for (let turns = this.#below(20); turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
      return;
    }
    const { node, table, indexing } = this.#opened;
    if (kind < 0.85) {
      await node.close();
      this.#count('restarted');
    } else if (kind < 0.95) {
      this.#change();
      const crashed = scratchFolder(this.#context);
      const refreshed = table.refresh();
      for (let turns = this.#below(40); turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
      copyAsItIs(this.#disk, crashed);
      await refreshed;
      await node.close();
      rmSync(this.#disk, { recursive: true, force: true });
      this.#disk = crashed;
      this.#count('crashed');
    } else {
      await indexing.idle();
      await node.close();
      this.#damage();
    }
    this.#opened = this.#open();
  }

  #change(): void {
    const ordinal = this.#below(FILES);
    const isLast = this.#model.every((keys, at) => keys === undefined || at === ordinal);
    if (this.#random() < 0.35 && !isLast) {
      rmSync(this.#pathOf(ordinal), { force: true });
      this.#model[ordinal] = undefined;
    } else this.#write(ordinal);
  }

  #damage(): void {
    const folder = join(this.#disk, 'indexes');
    const names = readdirSync(folder);
    const name = names[this.#below(names.length)];
    if (name === undefined) return;
    const bytes = readFileSync(join(folder, name));
    const at = this.#below(bytes.length);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << this.#below(8));
    writeFileSync(join(folder, name), bytes);
    this.#count('damaged');
  }

  async #checkBuilt(told: string): Promise<void> {
    const { node, table, indexing } = this.#opened;
    await indexing.idle();
    const { status } = indexing;
    assert.equal(status.state, 'ready', `${told}: ${status.error?.message}`);
    assert.ok(status.runs <= 4, `${told}: ${status.runs} runs`);
    const snapshot = table.current();
    assert.equal(snapshot.primaryKey.index?.openFiles.length, 0, told);
    const rows = this.#model.flatMap((keys) => keys ?? []).filter((key) => key !== null).length;
    assert.equal(status.count?.rows, rows, told);
    await this.#check(told);
    this.#count('built');
    await node.sweepDisk();
  }

  async #check(told: string): Promise<void> {
    const { node, table } = this.#opened;
    const snapshot = table.current();
    const keys = Array.from({ length: CHECKED }, () => this.#below(2 * KEYS + 2));
    const projection = snapshot.projection(['v']);
    const options = { matches: 'all', limit: 1000 } as const;
    const { items } = await node.engine.lookup(
      snapshot,
      keys.map((key) => [key]),
      projection,
      options,
      noDeadline,
    );
    for (const [i, key] of keys.entries()) {
      const rows = this.#model.flatMap((own, file) =>
        (own ?? []).flatMap((other, row) =>
          other === key ? [JSON.stringify({ v: `${file} ${this.#versions[file]} ${row}` })] : [],
        ),
      );
      const wanted = rows.length === 0 ? { status: 'not_found' } : { status: 'found', rows, truncated: false };
      assert.deepEqual(items[i], wanted, `${told}, key ${key}`);
      this.#count(rows.length === 0 ? 'absent' : 'found');
    }
  }
}

/** What a process leaves that ends now: files that are being written aside may be gone before they are copied. */
function copyAsItIs(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) copyAsItIs(source, target);
    else if (!entry.name.endsWith('lock')) {
      try {
        copyFileSync(source, target);
      } catch (thrown) {
        if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw thrown;
      }
    }
  }
}

test(`random steps leave every key with its rows (FUZZ_SEED=${FUZZ_SEED})`, async (context) => {
  const steps = new Steps(context, randomFrom(FUZZ_SEED));
  await steps.run(STEPS);
  context.diagnostic(JSON.stringify(steps.counts));
  assert.ok((steps.counts.built ?? 0) > STEPS / 3, 'the index was there');
  assert.ok((steps.counts.found ?? 0) > STEPS && (steps.counts.absent ?? 0) > STEPS);
});
