/** Readers and writers on tables that change, over HTTP, for as long as `POINTLAKE_FAULT_SECONDS` says. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { systemClock } from '../../src/core/index.ts';
import type { S3Settings } from '../../src/storage/index.ts';
import { keepFresh } from '../../src/table/index.ts';
import { Asker } from './ask.ts';
import { type ChangeCounts, ChangingTable, type ObjectWriter, type WriteManner } from './changing-table.ts';
import { nodeOf } from './one-node.ts';
import { isLong } from './sampled.ts';
import { scratchFolder } from './scratch.ts';
import { serve } from './served.ts';
import { answeredByThreads, serveByThreads } from './served-by-threads.ts';

/** Both ways that objects are read: whole, and by ranges. About 65 and 400 KiB. */
const SIZES = { small: 500, large: 3000 } as const;
const KINDS = {
  /** Listed so often that most changes are found that way. */
  often: { refreshMs: 40, maxShrink: 1, manners: ['replace', 'rename', 'replace'] },
  /** So seldom that all are found by reading. */
  never: { refreshMs: 10 * 60_000, maxShrink: 1, manners: ['replace', 'rename', 'replace'] },
  /** With times in which a file is not there, which a listing that is not believed has to bridge. */
  gaps: { refreshMs: 40, maxShrink: 0.2, manners: ['delete first', 'replace', 'replace'] },
} as const satisfies Record<string, Kind>;
const READERS_A_TABLE = 3;
const SEED = Number(process.env.FAULT_SEED ?? 20_261_123);

interface Kind {
  readonly refreshMs: number;
  readonly maxShrink: number;
  readonly manners: readonly WriteManner[];
}

export interface ChangingRun {
  readonly seconds: number;
  readonly withDisk: boolean;
  /** Asked instead of the main loop; none by default. */
  readonly threads?: number;
  /** Where a table's objects go, and the table's source. */
  readonly place: (table: string) => { readonly source: string; readonly writer: ObjectWriter };
  readonly s3?: S3Settings;
}

/** Minutes where all is taken that is sampled else. */
const LONG_SECONDS = 180;

export function faultSeconds(seconds: number): number {
  return Number(process.env.POINTLAKE_FAULT_SECONDS ?? (isLong ? LONG_SECONDS : seconds));
}

export async function runChanging(context: TestContext, run: ChangingRun): Promise<void> {
  const { threads = 0 } = run;
  const places = new Map(tableNames().map((name) => [name, run.place(name)]));
  const tables = [...places].map(
    ([name, { writer }]) =>
      new ChangingTable({ name, writer, rowsPerFile: rowsOf(name), manners: kindOf(name).manners }),
  );
  for (const table of tables) await table.fill();
  const node = nodeOf(
    context,
    [...places].map(([name, { source }]) => {
      const { refreshMs, maxShrink } = kindOf(name);
      return { name, source, key: ['id'], options: { refreshMs, maxShrink } };
    }),
    {
      s3: run.s3 ?? {},
      cacheMemoryBytes: 6 * 2 ** 20,
      loops: 1 + threads,
      ...(run.withDisk && { disk: { path: join(scratchFolder(context), 'cache'), sizeBytes: 2 ** 26 } }),
    },
  );
  const over = new AbortController();
  for (const table of node.catalog.tables()) {
    await table.refresh();
    void keepFresh(table, systemClock, { onSnapshot: () => undefined, onError: () => undefined }, over.signal);
  }
  const server = await serve(node);
  const served = threads > 0 ? await serveByThreads(context, node, server, threads) : undefined;
  const asker = new Asker(served?.url ?? server.url);
  try {
    await withLoad(tables, asker, run.seconds, over);
    for (const table of tables) {
      await node.catalog.get(table.name).refresh();
      await table.checkAll(asker);
    }
  } finally {
    over.abort();
    if (served !== undefined) {
      const answered = await answeredByThreads(node);
      context.diagnostic(`${answered} requests were answered by ${threads} threads themselves`);
      assert.ok(answered > 0, 'threads answer what is in memory');
      assert.deepEqual(served.lines, []);
    }
    asker.close();
    await served?.threads.close();
    await server.close();
  }
  report(context, tables, run.seconds);
}

/** Ends when the time is over and every table has seen enough, or at the first answer that is wrong. */
async function withLoad(
  tables: readonly ChangingTable[],
  asker: Asker,
  seconds: number,
  over: AbortController,
): Promise<void> {
  const ending = endWhen(() => tables.every(({ counts }) => hasSeenEnough(counts)), seconds, over);
  const work = tables.flatMap((table, at) => [
    ...Array.from({ length: READERS_A_TABLE }, (_, i) => table.keepReading(asker, SEED + at * 100 + i, over.signal)),
    ...table.files.map((file) => table.keepWriting(file, SEED + at * 100 + 50 + file, over.signal)),
  ]);
  try {
    await Promise.all(work);
  } finally {
    over.abort();
    await Promise.allSettled([...work, ending]);
  }
}

/** A loaded machine takes longer than the seconds to show anything. */
async function endWhen(isEnough: () => boolean, seconds: number, over: AbortController): Promise<void> {
  let waitMs = seconds * 1000;
  do {
    await systemClock.sleep(waitMs, over.signal);
    waitMs = 100;
  } while (!isEnough());
  over.abort();
}

function hasSeenEnough({ checked, written, versionsSeen }: ChangeCounts): boolean {
  return checked >= 150 && written >= 3 && versionsSeen >= 2;
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
    assert.ok(hasSeenEnough(counts), `${name} saw its objects change`);
    assert.ok(refusedCount < checked, `${name}: ${refusedCount} refusals beside ${checked} rows`);
  }
}

function tableNames(): string[] {
  return Object.keys(SIZES).flatMap((size) => Object.keys(KINDS).map((kind) => `${size}-${kind}`));
}

function rowsOf(name: string): number {
  return SIZES[name.split('-')[0] as keyof typeof SIZES];
}

function kindOf(name: string): Kind {
  return KINDS[name.split('-')[1] as keyof typeof KINDS];
}
