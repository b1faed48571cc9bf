/** Readers and writers on tables that change, over HTTP, for as long as `POINTLAKE_FAULT_SECONDS` says. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { systemClock } from '../../src/core/index.ts';
import type { S3Settings } from '../../src/storage/index.ts';
import { keepFresh } from '../../src/table/index.ts';
import { Asker } from './ask.ts';
import { ChangingTable, type ObjectWriter, type WriteManner } from './changing-table.ts';
import { nodeOf } from './one-node.ts';
import { scratchFolder } from './scratch.ts';
import { serve } from './served.ts';

/** Both ways that objects are read: whole, and by ranges. About 65 and 400 KiB. */
const SIZES = { small: 500, large: 3000 } as const;
/** Between listings: so short that most changes are found by them, and so long that all are found by reading. */
const REFRESH = { often: 40, never: 10 * 60_000 } as const;
const READERS_A_TABLE = 3;
const SEED = Number(process.env.FAULT_SEED ?? 20_261_123);

export interface ChangingRun {
  readonly seconds: number;
  readonly withDisk: boolean;
  readonly manners: readonly WriteManner[];
  /** Where a table's objects go, and the table's source. */
  readonly place: (table: string) => { readonly source: string; readonly writer: ObjectWriter };
  readonly s3?: S3Settings;
}

export function faultSeconds(seconds: number): number {
  return Number(process.env.POINTLAKE_FAULT_SECONDS ?? seconds);
}

export async function runChanging(context: TestContext, run: ChangingRun): Promise<void> {
  const places = new Map(tableNames().map((name) => [name, run.place(name)]));
  const tables = [...places].map(
    ([name, { writer }]) => new ChangingTable({ name, writer, rowsPerFile: rowsOf(name), manners: run.manners }),
  );
  for (const table of tables) await table.fill();
  const node = nodeOf(
    context,
    [...places].map(([name, { source }]) => ({ name, source, key: ['id'], options: { refreshMs: refreshOf(name) } })),
    {
      s3: run.s3 ?? {},
      cacheMemoryBytes: 6 * 2 ** 20,
      ...(run.withDisk && { disk: { path: join(scratchFolder(context), 'cache'), sizeBytes: 2 ** 26 } }),
    },
  );
  const over = new AbortController();
  for (const table of node.catalog.tables()) {
    await table.refresh();
    void keepFresh(table, systemClock, { onSnapshot: () => undefined, onError: () => undefined }, over.signal);
  }
  const server = await serve(node);
  const asker = new Asker(server.url);
  try {
    await withLoad(tables, asker, run.seconds, over);
    for (const table of tables) {
      await node.catalog.get(table.name).refresh();
      await table.checkAll(asker);
    }
  } finally {
    over.abort();
    asker.close();
    await server.close();
  }
  report(context, tables, run.seconds);
}

/** Ends after the time, or at the first answer that is wrong. */
async function withLoad(
  tables: readonly ChangingTable[],
  asker: Asker,
  seconds: number,
  over: AbortController,
): Promise<void> {
  const timer = new AbortController();
  void systemClock.sleep(seconds * 1000, timer.signal).then(
    () => over.abort(),
    () => undefined,
  );
  const work = tables.flatMap((table, at) => [
    ...Array.from({ length: READERS_A_TABLE }, (_, i) => table.keepReading(asker, SEED + at * 100 + i, over.signal)),
    ...table.files.map((file) => table.keepWriting(file, SEED + at * 100 + 50 + file, over.signal)),
  ]);
  try {
    await Promise.all(work);
  } finally {
    timer.abort();
    over.abort();
    await Promise.allSettled(work);
  }
}

function report(context: TestContext, tables: readonly ChangingTable[], seconds: number): void {
  for (const { name, counts } of tables) {
    const { checked, batches, written, versionsSeen, refused } = counts;
    const refusals = Object.entries(refused).map(([code, count]) => `${count} times 503 ${code}`);
    context.diagnostic(
      `${name}: ${checked} rows checked (${batches} batches), ${written} versions written, ${versionsSeen} seen, ` +
        `${refusals.join(', ') || 'no 503'} in ${seconds} s (FAULT_SEED=${SEED})`,
    );
    const refusedCount = Object.values(refused).reduce((sum, count) => sum + count, 0);
    assert.ok(checked > 100 && written >= 2 && versionsSeen >= 1, `${name} saw its objects change`);
    assert.ok(refusedCount < checked, `${name}: ${refusedCount} refusals beside ${checked} rows`);
  }
}

function tableNames(): string[] {
  return Object.keys(SIZES).flatMap((size) => Object.keys(REFRESH).map((refresh) => `${size}-${refresh}`));
}

function rowsOf(name: string): number {
  return SIZES[name.split('-')[0] as keyof typeof SIZES];
}

function refreshOf(name: string): number {
  return REFRESH[name.split('-')[1] as keyof typeof REFRESH];
}
