/**
 * How fast and small a footer becomes, beside hyparquet in the same run: parse, memory that stays, and reload of the
 * persisted form with its checksum. `--small` makes it a matter of seconds.
 *
 * Each side answers the same questions about every chunk and the digests of the answers must be equal, so that neither
 * can be fast by leaving work undone. Parsing and memory are measured in a process of its own each.
 */

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { type FileMetaData, parquetMetadata } from 'hyparquet';

import { DiskCache } from '../src/cache/index.ts';
import { systemClock } from '../src/core/index.ts';
import { FileIndex, type KeyValue } from '../src/parquet/index.ts';
import { writeTail } from '../test/parquet/support/footer-writer.ts';
import { makeWideFooter, type WideFooter } from './harness/wide-footer.ts';

type Reader = 'pointlake' | 'hyparquet';

const isSmall = process.argv.includes('--small');
const SHAPES: readonly (readonly [rowGroups: number, columns: number])[] = isSmall
  ? [[100, 50]]
  : [
      [1000, 50],
      [200, 2000],
    ];
/** What has to hold of the first shape; small runs only print. */
const GOALS = { parse: 10, memory: 15, reload: 200 };
const RELOAD_ROUNDS = 25;

/** In a process of its own: `measure` answers with one number. */
const [mode, reader, rowGroupsText, columnsText] = process.argv.slice(2);
if (mode === 'memory' || mode === 'parse') {
  const measure = mode === 'memory' ? retainedBytes : parseMs;
  console.log(String(await measure(reader as Reader, Number(rowGroupsText), Number(columnsText))));
} else {
  for (const [position, [rowGroups, columns]] of SHAPES.entries())
    await report(rowGroups, columns, position === 0 && !isSmall);
}

async function report(rowGroups: number, columns: number, mustReach: boolean): Promise<void> {
  const footer = makeWideFooter(rowGroups, columns);
  console.log(`${rowGroups} row groups x ${columns} columns: a footer of ${footer.bytes.length} bytes`);
  const digest = compareAnswers(footer);
  const theirs = measureApart('parse', 'hyparquet', rowGroups, columns);
  const ours = measureApart('parse', 'pointlake', rowGroups, columns);
  const index = FileIndex.parse(footer.bytes, footer.fileLength);
  const reload = await measureReload(index);
  const theirMemory = measureApart('memory', 'hyparquet', rowGroups, columns);
  const ourMemory = measureApart('memory', 'pointlake', rowGroups, columns);

  const ratios = { parse: theirs / ours, memory: theirMemory / ourMemory, reload: theirs / reload.ms };
  row('parse', `${theirs.toFixed(1)} ms`, `${ours.toFixed(1)} ms`, ratios.parse, GOALS.parse);
  row('retained', `${mb(theirMemory)} MB`, `${mb(ourMemory)} MB`, ratios.memory, GOALS.memory);
  row('reload, checksummed', `${theirs.toFixed(1)} ms`, `${reload.ms.toFixed(2)} ms`, ratios.reload, GOALS.reload);
  console.log(
    `    median of ${RELOAD_ROUNDS} reloads ${reload.medianMs.toFixed(2)} ms, ${(theirs / reload.medianMs).toFixed(1)}x`,
  );
  console.log(`  persisted form ${mb(index.serialise().length)} MB; digest of ${rowGroups * columns} chunks ${digest}`);
  const missed = Object.entries(GOALS).filter(([name, goal]) => ratios[name as keyof typeof ratios] < goal);
  if (mustReach && missed.length > 0) {
    console.log(`  MISSED: ${missed.map(([name]) => name).join(', ')}`);
    process.exitCode = 1;
  }
}

function compareAnswers(footer: WideFooter): string {
  const theirs = digestOf(theirAnswers(parquetMetadata(writeTail(footer.bytes))));
  const ours = digestOf(ourAnswers(FileIndex.parse(footer.bytes, footer.fileLength)));
  if (ours !== theirs) throw new Error(`the answers differ: ${ours} and ${theirs}`);
  return ours;
}

function row(what: string, theirs: string, ours: string, ratio: number, goal: number): void {
  const line = [what.padEnd(20), `hyparquet ${theirs}`.padEnd(22), `pointlake ${ours}`.padEnd(22)].join(' ');
  console.log(`  ${line} ${ratio.toFixed(1)}x (goal ${goal}x)`);
}

interface Reload {
  readonly ms: number;
  readonly medianMs: number;
}

/** From a file's name in the disk cache, through its checksum, to an index that gives a chunk and its bounds. */
async function measureReload(index: FileIndex): Promise<Reload> {
  const path = mkdtempSync(join(tmpdir(), 'pointlake-bench-'));
  const disk = DiskCache.open({ path, sizeBytes: 2 ** 30, clock: systemClock, log: console.log });
  if (disk === undefined) throw new Error('no disk cache could be opened');
  await disk.files.write('footer', index.serialise());
  const load = () => {
    const stored = disk.files.read('footer');
    if (stored === undefined) throw new Error('the stored index is missing');
    return FileIndex.load(stored, { checksum: 'of storage' });
  };
  const first = answerOf(index);
  const times = timesMs(RELOAD_ROUNDS, () => {
    if (answerOf(load()) !== first) throw new Error('the reloaded index answers otherwise');
  });
  if (digestOf(ourAnswers(load())) !== digestOf(ourAnswers(index))) throw new Error('the reloaded index is another');
  await disk.close();
  rmSync(path, { recursive: true });
  return { ms: times[0]!, medianMs: times[times.length >> 1]! };
}

function answerOf(index: FileIndex): string {
  return `${index.chunk(0, 0).range.start} ${index.chunkBounds(0, 0)?.min}`;
}

/** Neither reader's garbage slows the other down, and the best of two processes is taken. */
function measureApart(what: 'memory' | 'parse', who: Reader, rowGroups: number, columns: number): number {
  const args = ['--expose-gc', fileURLToPath(import.meta.url), what, who, String(rowGroups), String(columns)];
  const results = [1, 2].map(() => {
    const child = spawnSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 1 << 20 });
    if (child.status !== 0) throw new Error(`measuring ${what} failed: ${child.stderr}`);
    return Number(child.stdout);
  });
  return Math.min(...results);
}

function parseMs(who: Reader, rowGroups: number, columns: number): number {
  const footer = makeWideFooter(rowGroups, columns);
  const tail = writeTail(footer.bytes);
  if (who === 'hyparquet') return bestMs(6, () => parquetMetadata(tail));
  return bestMs(20, () => FileIndex.parse(footer.bytes, footer.fileLength));
}

/** Heap and buffers that are freed when a parsed footer is let go, its own bytes being long gone. */
async function retainedBytes(who: Reader, rowGroups: number, columns: number): Promise<number> {
  const kept = new Set([parseFresh(who, rowGroups, columns)]);
  const withIt = await memoryInUse();
  kept.clear();
  return withIt - (await memoryInUse());
}

/** The footer's bytes are known to this function only, so that nothing but the result can keep them. */
function parseFresh(who: Reader, rowGroups: number, columns: number): FileMetaData | FileIndex {
  const footer = makeWideFooter(rowGroups, columns);
  if (who === 'hyparquet') return parquetMetadata(writeTail(footer.bytes));
  return FileIndex.parse(footer.bytes, footer.fileLength);
}

/** Freed buffers are counted out by a task of the collector's own, which is given time to run. */
async function memoryInUse(): Promise<number> {
  for (let round = 0; round < 5; round += 1) {
    globalThis.gc?.();
    await sleep(20);
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** One line a chunk: where it is, its codec, values, nulls and bounds, long strings by what they must contain. */
function* ourAnswers(index: FileIndex): Generator<string> {
  for (let rowGroup = 0; rowGroup < index.rowGroups; rowGroup += 1) {
    for (let column = 0; column < index.schema.leaves.length; column += 1) {
      const { range, codec, numValues, nullCount, leaf, offsetIndexRange } = index.chunk(rowGroup, column);
      const bounds = index.chunkBounds(rowGroup, column);
      const place = [range.start, range.end, offsetIndexRange?.start, codec, numValues, nullCount].join(' ');
      yield `${leaf.name} ${place} ${textOf(bounds?.min)} ${bounds?.maxExact === false ? 'cut' : textOf(bounds?.max)}`;
    }
  }
}

function* theirAnswers(metadata: FileMetaData): Generator<string> {
  for (const rowGroup of metadata.row_groups) {
    for (const { meta_data: chunk, offset_index_offset } of rowGroup.columns) {
      if (chunk === undefined) throw new Error('a chunk without metadata');
      const start = Number(chunk.dictionary_page_offset ?? chunk.data_page_offset);
      const end = start + Number(chunk.total_compressed_size);
      const { null_count, min_value, max_value } = chunk.statistics ?? {};
      const place = [start, end, offset_index_offset, chunk.codec, chunk.num_values, null_count].join(' ');
      const isCut = typeof max_value === 'string' && max_value.length > 16;
      yield `${chunk.path_in_schema.join('.')} ${place} ${textOf(min_value)} ${isCut ? 'cut' : textOf(max_value)}`;
    }
  }
}

function textOf(value: KeyValue | Date | unknown): string {
  if (value instanceof Date) return String(BigInt(value.getTime()) * 1000n);
  if (value instanceof Uint8Array) return Buffer.from(value).toString('utf8');
  return typeof value === 'string' ? value.slice(0, 16) : String(value);
}

function digestOf(lines: Iterable<string>): string {
  const hash = createHash('sha256');
  for (const line of lines) hash.update(line).update('\n');
  return hash.digest('hex').slice(0, 16);
}

/** The shortest of several rounds: what else runs on the machine only ever adds. */
function bestMs(rounds: number, run: () => unknown): number {
  return timesMs(rounds, run)[0]!;
}

/** Ascending; a first round is not counted. */
function timesMs(rounds: number, run: () => unknown): number[] {
  run();
  const times = Array.from({ length: rounds }, () => {
    const from = performance.now();
    run();
    return performance.now() - from;
  });
  return times.sort((a, b) => a - b);
}

function mb(bytes: number): string {
  return (bytes / 1e6).toFixed(2);
}
