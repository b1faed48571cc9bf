/** The run of `pointlake bench`: keys, a check of answers, the load, and what is told of it. */

import { writeFileSync } from 'node:fs';
import {
  type About,
  type Checked,
  type HttpTarget,
  httpCeiling,
  type KeySpace,
  type LoadPlan,
  type LoadRecord,
  loadFromThreads,
  loopCeiling,
  monotonicClock,
  outcomeOf,
  reportHtml,
  resultText,
  runLoad,
  type Sender,
} from '../bench/index.ts';
import { ServiceError } from '../core/index.ts';
import { type AskRows, asked, checkAnswers, httpRows, sampleOf, textOf } from './bench-check.ts';
import { EngineSender, engineRows } from './bench-engine.ts';
import { keysOfFile, keysOfRange, keysOfSource } from './bench-keys.ts';
import {
  type BenchOptions,
  type BenchTarget,
  ceilingMsOf,
  type LoadNumbers,
  numbersOf,
  targetOf,
  whole,
} from './bench-options.ts';
import { withStorage } from './bench-storage.ts';
import { type OneTable, withConfiguredTable, withOneTable, writeOut } from './one-table.ts';
import { asUsage, UsageError } from './usage.ts';

const CHECKED_MAX = 100_000;
/** As the threads that make load over HTTP have it. */
const SPIN_MS = 1.5;

/** A load that has its keys and knows its answers to be right. */
interface Prepared {
  readonly keys: KeySpace;
  readonly checked: Checked | undefined;
}

export async function runBench(url: string | undefined, options: BenchOptions): Promise<void> {
  const numbers = numbersOf(options);
  const target = targetOf(url, options);
  const ceilingMs = ceilingMsOf(options);
  const checks = whole('--check', options.check, 0, CHECKED_MAX);
  if (target.kind === 'inProcess') {
    const columns = options.value === undefined ? options.columns : [options.value];
    await withOneTable(target.source, target.key, async (opened) => {
      asUsage(() => opened.snapshot.projection(columns));
      const keys = hasOwnKeys(options)
        ? await keysOf(options, numbers, opened.snapshot.keyLeaves.length)
        : await keysOfSource(opened, numbers.absentShare, numbers.seed);
      const checked = await checkedOf(opened, columns, keys, checks, numbers.seed, engineRows(opened, columns));
      const plan: LoadPlan = { ...numbers, threads: 1, keys };
      const sender = new EngineSender(opened, columns, numbers.batch > 0, numbers.timeoutMs);
      const record = await runInThisThread(plan, sender);
      const bytes = bytesAnAnswer([record]);
      const ceiling = ceilingMs === 0 ? undefined : await loopCeiling(plan, bytes, ceilingMs);
      const about = { target: `${target.source} in this process`, checked, ceiling, isInProcess: true };
      await report(plan, [record], about, options);
    });
    return;
  }
  if (target.kind === 'storage') {
    const { connections, timeoutMs } = numbers;
    const gets = { bytes: target.bytes, connections, timeoutMs };
    await withStorage(target.uri, target.s3, gets, async ({ target: name, keys, sender }) => {
      const plan: LoadPlan = { ...numbers, threads: 1, keys };
      const records = [await runInThisThread(plan, sender)];
      await report(
        plan,
        records,
        { target: name, checked: undefined, ceiling: undefined, isInProcess: false },
        options,
      );
    });
    return;
  }
  const { http } = target;
  const { keys, checked } = await prepared(target, options, numbers, checks);
  const plan: LoadPlan = { ...numbers, keys };
  const records = await loadFromThreads(plan, http);
  const bytes = bytesAnAnswer(records);
  const ceiling = ceilingMs === 0 ? undefined : await httpCeiling(plan, http, bytes, ceilingMs);
  await report(plan, records, { target: http.url, checked, ceiling, isInProcess: false }, options);
}

function runInThisThread(plan: LoadPlan, sender: Sender): Promise<LoadRecord> {
  return runLoad(plan, { part: 0, parts: 1 }, sender, { clock: monotonicClock, spinMs: SPIN_MS });
}

async function prepared(
  { http, definition, s3 }: Extract<BenchTarget, { kind: 'http' }>,
  options: BenchOptions,
  numbers: LoadNumbers,
  checks: number,
): Promise<Prepared> {
  const described = http.kind === 'table' ? await describedTable(http) : undefined;
  const hasOwn = hasOwnKeys(options) && options.keysFrom === undefined;
  const source = options.keysFrom ?? definition?.source;
  if (source === undefined || (hasOwn && checks === 0)) {
    return { keys: await keysOf(options, numbers, described?.key.length), checked: undefined };
  }
  const key = options.key ?? definition?.key;
  if (key === undefined) throw new UsageError(`--keys-from ${source} needs the --key that its rows are looked up by`);
  const use = async (opened: OneTable): Promise<Prepared> => {
    const keys = hasOwn
      ? await keysOf(options, numbers, key.length)
      : await keysOfSource(opened, numbers.absentShare, numbers.seed);
    if (http.kind !== 'table') return { keys, checked: undefined };
    const all = opened.snapshot.columns.map(({ name }) => name);
    const columns = http.value === undefined ? http.columns : [http.value];
    const ask = httpRows({ ...http, columns }, numbers.batch > 0, all);
    return { keys, checked: await checkedOf(opened, columns, keys, checks, numbers.seed, ask) };
  };
  if (options.keysFrom === undefined && options.config !== undefined && definition !== undefined) {
    return withConfiguredTable(options.config, definition.name, use);
  }
  return withOneTable(source, key, use, s3 && { s3 });
}

/** Asked before anything else, so that a wrong address or name is told at once. */
async function describedTable({ url, headers }: HttpTarget): Promise<{ readonly key: readonly string[] }> {
  return JSON.parse(await textOf(await asked(url, { headers }))) as { readonly key: readonly string[] };
}

function hasOwnKeys({ keysFrom, range, keysFile }: BenchOptions): boolean {
  const given = [keysFrom, range, keysFile].filter((from) => from !== undefined).length;
  if (given > 1) throw new UsageError('say the keys once: --keys-from, --range or --keys-file');
  return given === 1;
}

async function keysOf(options: BenchOptions, numbers: LoadNumbers, parts: number | undefined): Promise<KeySpace> {
  const { range, keysFile, keysFrom, key } = options;
  if (range !== undefined) return keysOfRange(range);
  if (keysFile !== undefined) return keysOfFile(keysFile, parts, numbers.absentShare, numbers.seed);
  if (keysFrom === undefined) {
    throw new UsageError('say which keys: --keys-from URI --key COLUMN, --range FIRST..LAST or --keys-file PATH');
  }
  return withOneTable(keysFrom, key ?? [], (opened) => keysOfSource(opened, numbers.absentShare, numbers.seed));
}

async function checkedOf(
  opened: OneTable,
  columns: readonly string[] | undefined,
  keys: KeySpace,
  count: number,
  seed: number,
  ask: AskRows,
): Promise<Checked | undefined> {
  if (count === 0) return undefined;
  const checked = await checkAnswers(opened, columns, sampleOf(keys, count, seed), ask);
  const [first] = checked.wrong;
  if (first !== undefined) {
    throw new ServiceError(
      'corrupt',
      'wrong_answers',
      `${checked.wrong.length} of ${checked.keys} answers differ from a plain read of ${opened.snapshot.definition.source}, first that of key ${first}: nothing was timed. Is it the same version of the same files? --check 0 does without`,
    );
  }
  return checked;
}

function bytesAnAnswer(records: readonly LoadRecord[]): number {
  const bytes = records.reduce((sum, { counts }) => sum + counts.bytes, 0);
  const requests = records.reduce((sum, { counts }) => sum + counts.requests, 0);
  return Math.round(bytes / Math.max(1, requests));
}

async function report(
  plan: LoadPlan,
  records: readonly LoadRecord[],
  about: About,
  { json, hdr, html }: BenchOptions,
): Promise<void> {
  const outcome = outcomeOf(plan, records, about);
  await writeOut(resultText(outcome.result));
  if (json !== undefined) write(json, `${JSON.stringify(outcome.result, undefined, 2)}\n`);
  if (hdr !== undefined) write(hdr, outcome.hdr);
  if (html !== undefined) write(html, reportHtml(outcome.result));
  if (outcome.result.requests === 0 || outcome.result.failed === outcome.result.requests) process.exitCode = 1;
}

function write(path: string, text: string): void {
  try {
    writeFileSync(path, text);
  } catch (thrown) {
    throw new ServiceError('invalid', 'cannot_write', `${path} cannot be written: ${(thrown as Error).message}`);
  }
}
