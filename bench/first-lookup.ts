/**
 * The first lookup ever of a file as DuckDB writes it, without a conversion before: 24 columns, a page of a MiB or much more each
 * column chunk, no page index. Each repetition is a process of its own that has never seen the file.
 *
 *     npm run bench -- first-lookup [--rows N] [--small]
 *
 * `warm` processes have looked up one row of another, small file and are up for a second, as a server is; in `cold` ones the time
 * runs from their start, modules included. Dropped means that the file was put out of the system's page cache before.
 * Where keys are shuffled, nothing says which row group has a key, and key pages are read until it is found. Every row is compared
 * with DuckDB's.
 */

import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { DuckDBInstance } from '@duckdb/node-api';
import { randomNumbers } from './harness/access-traces.ts';
import type { FirstAnswer, FirstLookup } from './harness/first-lookup-child.ts';
import { readIntoPageCache } from './harness/page-cache.ts';
import { type Spread, spread } from './harness/rounds.ts';
import { SERVER_ENVIRONMENT, SERVER_FLAGS } from './harness/server-settings.ts';
import { COLUMNS, canonical, type Layout, makeTable, parquetPath, type Row } from './peers/table.ts';

const { values: flags } = parseArgs({ options: { rows: { type: 'string' }, small: { type: 'boolean' } } });
const isSmall = flags.small === true;
const ROWS = Number(flags.rows ?? (isSmall ? 130_000 : 10_000_000));
const WARM_ROWS = 20_000;
const REPETITIONS = isSmall ? 1 : 9;
const SEED = 40;
const GOAL_MS = 100;
const STRETCH_MS = 40;

interface Mode {
  readonly name: string;
  readonly layout: Layout;
  readonly isWarm: boolean;
  readonly isDropped: boolean;
}

const MODES: readonly Mode[] = [
  { name: 'warm', layout: 'sorted', isWarm: true, isDropped: false },
  { name: 'warm, file dropped', layout: 'sorted', isWarm: true, isDropped: true },
  { name: 'cold, with modules', layout: 'sorted', isWarm: false, isDropped: false },
  { name: 'warm, shuffled', layout: 'shuffled', isWarm: true, isDropped: false },
];

const pathOf = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'pointlake-first-'));
const folder = isSmall ? scratch : pathOf(`../datasets/data/peers/${ROWS}`);
const warmFolder = join(scratch, 'warm');
const warmPath = parquetPath(warmFolder, 'sorted');
const missed: string[] = [];
try {
  await run();
} finally {
  rmSync(scratch, { recursive: true });
}
for (const line of missed) console.log(`MISSED: ${line}`);
process.exitCode = missed.length > 0 ? 1 : 0;

async function run(): Promise<void> {
  await makeTable(folder, ROWS, ['sorted', 'shuffled']);
  await makeTable(warmFolder, WARM_ROWS, ['sorted']);
  const code = codeInUse();
  const bytes = (layout: Layout) => (statSync(parquetPath(folder, layout)).size / 1e9).toFixed(2);
  console.log(`${cpus()[0]?.model.trim()}, ${cpus().length} cores; Node ${process.versions.node}; code: ${code.name}`);
  console.log(
    `${ROWS} rows x ${COLUMNS.length} columns as DuckDB writes them: sorted ${bytes('sorted')} GB, shuffled ${bytes('shuffled')} GB`,
  );
  console.log(`${REPETITIONS} processes a line, each another key; median [min to max]\n`);
  const random = randomNumbers(SEED);
  const keys = Array.from({ length: REPETITIONS }, () => random() % ROWS);
  const rows = await rowsOf(parquetPath(folder, 'sorted'), keys);
  console.log('|                    | to the row, ms | its CPU, ms | pages decoded inline / in threads |');
  console.log('| :----------------- | :------------- | ----------: | :-------------------------------- |');
  const times = new Map<Mode, Spread>();
  for (const mode of MODES) times.set(mode, measure(mode, keys, rows, code));
  stages(keys, rows, code);
  console.log(`\nall rows equal DuckDB's; digest ${digestOf(rows.map(canonical))}`);
  if (!isSmall) judge(times);
}

function measure(mode: Mode, keys: readonly number[], rows: readonly Row[], code: Code): Spread {
  if (mode.isDropped && !drop(parquetPath(folder, mode.layout))) {
    console.log(
      `| ${mode.name.padEnd(18)} | not measured: dd of GNU coreutils cannot drop the file from the page cache |`,
    );
    return { median: Number.NaN, min: Number.NaN, max: Number.NaN };
  }
  if (!mode.isDropped) readIntoPageCache(parquetPath(folder, mode.layout));
  const answers = keys.map((key, i) => {
    if (mode.isDropped) drop(parquetPath(folder, mode.layout));
    return ask(mode, key, false, rows[i]!, code);
  });
  const ms = spread(answers.map((answer) => (mode.isWarm ? answer.ms : answer.sinceStartMs)));
  const cpu = spread(answers.map(({ cpuMs }) => cpuMs)).median.toFixed(0);
  const pages = `${of(answers, ({ inline }) => inline)} / ${of(answers, ({ pooled }) => pooled)}`;
  console.log(`| ${mode.name.padEnd(18)} | ${said(ms)} | ${cpu} | ${pages} |`);
  return ms;
}

/** The key by itself and then the row: together as much as the row at once, to within a hop or two. */
function stages(keys: readonly number[], rows: readonly Row[], code: Code): void {
  console.log('\n| stage, warm and sorted         | ms |');
  console.log('| :----------------------------- | :- |');
  const [mode] = MODES;
  const answers = keys.map((key, i) => ask(mode!, key, true, rows[i]!, code));
  for (const stage of Object.keys(answers[0]?.stages ?? {})) {
    console.log(
      `| ${stage.padEnd(30)} | ${said(spread(answers.map((answer) => answer.stages[stage] ?? Number.NaN)))} |`,
    );
  }
}

function judge(times: ReadonlyMap<Mode, Spread>): void {
  const [mode] = MODES;
  const { median } = times.get(mode!) ?? { median: Number.NaN };
  const isMet = median < GOAL_MS;
  console.log(
    `\nfirst lookup, ${mode?.name} process: ${median.toFixed(1)} ms; goal under ${GOAL_MS} ms ${isMet ? 'met' : 'missed'}, stretch ${STRETCH_MS} ms ${median < STRETCH_MS ? 'met' : 'not met'}`,
  );
  if (!isMet) missed.push(`the first lookup took ${median.toFixed(1)} ms, goal under ${GOAL_MS}`);
}

function ask(
  { layout, isWarm }: Mode,
  key: number,
  isStaged: boolean,
  row: Row,
  { code, extension }: Code,
): FirstAnswer {
  const asked: FirstLookup = {
    code,
    extension,
    path: parquetPath(folder, layout),
    key: String(key),
    isStaged,
    ...(isWarm && { warmPath, warmKey: String(key % WARM_ROWS) }),
  };
  const child = pathOf('./harness/first-lookup-child.ts');
  const output = execFileSync(process.execPath, [...SERVER_FLAGS, child, JSON.stringify(asked)], {
    encoding: 'utf8',
    env: { ...SERVER_ENVIRONMENT, ...process.env },
  });
  const answer = JSON.parse(output) as FirstAnswer;
  if (answer.json === null || canonical(JSON.parse(answer.json) as Row) !== canonical(row))
    throw new Error(`the row of key ${key} in ${layout} is not DuckDB's: ${answer.json}`);
  return answer;
}

interface Code {
  readonly name: string;
  readonly code: string;
  readonly extension: 'ts' | 'js';
}

/** What is compiled, as the package has it, unless a source is newer. */
function codeInUse(): Code {
  const [source, compiled] = [pathOf('../src'), pathOf('../dist')];
  const main = join(compiled, 'main.js');
  const newest = (folder: string): number =>
    Math.max(
      ...readdirSync(folder, { recursive: true, withFileTypes: true }).map(
        (entry) => statSync(join(entry.parentPath, entry.name)).mtimeMs,
      ),
    );
  if (existsSync(main) && newest(source) <= statSync(main).mtimeMs)
    return { name: 'dist', code: compiled, extension: 'js' };
  return { name: 'src (npm run build for the package)', code: source, extension: 'ts' };
}

async function rowsOf(path: string, keys: readonly number[]): Promise<readonly Row[]> {
  const connection = await (await DuckDBInstance.create()).connect();
  const read = await connection.runAndReadAll(
    `SELECT ${COLUMNS.join(', ')} FROM read_parquet('${path}') WHERE id IN (${keys.join(', ')})`,
  );
  const byKey = new Map(read.getRowObjects().map((row) => [Number(row.id), row]));
  connection.closeSync();
  return keys.map((key) => {
    const row = byKey.get(key);
    if (row === undefined) throw new Error(`DuckDB does not find key ${key}`);
    return row;
  });
}

/** From the page cache, this file alone. */
function drop(path: string): boolean {
  return spawnSync('dd', [`if=${path}`, 'iflag=nocache', 'count=0'], { stdio: 'ignore' }).status === 0;
}

function said({ median, min, max }: Spread): string {
  return `${median.toFixed(1)} [${min.toFixed(1)} to ${max.toFixed(1)}]`;
}

function of(answers: readonly FirstAnswer[], pick: (answer: FirstAnswer) => number): string {
  return String(spread(answers.map(pick)).median);
}

function digestOf(texts: readonly string[]): string {
  return createHash('sha256').update(texts.join('\n')).digest('hex').slice(0, 16);
}
