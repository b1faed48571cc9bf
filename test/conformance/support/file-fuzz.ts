/**
 * One run of whole-file fuzzing, in a process of its own so that whoever started it can tell a crash or a hang and bound
 * its memory. Every case opens a broken file as a table, scans it and looks keys up, through the product's own path over a
 * store in memory. Case n depends on FUZZ_SEED and n alone.
 *
 * FUZZ_CASES from FUZZ_FIRST on are run; the number of the running case is kept in the file FUZZ_PROGRESS. The last line
 * of stdout is the counts as JSON. A case that breaks a rule ends the run with its number and the reason.
 */

import { openSync, writeSync } from 'node:fs';
import { asServiceError, ServiceError } from '../../../src/core/index.ts';
import { createNode, type PointlakeNode } from '../../../src/main.ts';
import type { ObjectMeta, ObjectStore } from '../../../src/storage/index.ts';
import { parseExactJson, parseKeyJson, type Snapshot, tableDefinition } from '../../../src/table/index.ts';
import { randomFrom } from '../../parquet/support/property.ts';
import { MUTATIONS, type Random } from './file-mutations.ts';
import { bombs, type FuzzSeed, goodSeeds } from './file-seeds.ts';
import { JSON_FORM, rowText, scannedRows } from './product.ts';

const SEED = Number(process.env.FUZZ_SEED ?? 1);
const CASES = Number(process.env.FUZZ_CASES ?? 1000);
const FIRST = Number(process.env.FUZZ_FIRST ?? 0);

/** Processor time of a case; of the wall's, far more, since other processes may have the machine. */
const CPU_MS_MAX = 2000;
const WALL_MS_MAX = 30_000;
/** Above what the good files took. The largest page that is allowed is 256 MiB when decompressed. */
const RESIDENT_BYTES_MAX = 768 * 2 ** 20;
/** A file may claim billions of rows in a few bytes; this many are read. */
const ROWS_MAX = 3000;
const PARSED_ROWS_MAX = 40;
const NODE_CASES = 200;
const PATH = '/mutant.parquet';

/** A mutant may be refused for what its footer says, which a table calls by these codes. */
const CODES = ['unknown_key_column', 'not_covered', 'schema_conflict', 'overflow'];

interface Good {
  readonly seed: FuzzSeed;
  readonly key: string;
  /** JSON texts of key values, present ones first. */
  readonly keys: readonly string[];
}

const counts = {
  cases: 0,
  read: 0,
  refused: 0,
  found: 0,
  notFound: 0,
  rows: 0,
  slowestMs: 0,
  byError: new Map<string, number>(),
};

let bytes: Uint8Array = new Uint8Array(0);
let version = 0;

/** The mutant of the running case as the one object of a store. */
function memoryStore(kind: 'file' | 's3'): ObjectStore {
  const meta = (): ObjectMeta => ({ key: PATH, sizeBytes: bytes.length, eTag: `"${version}"` });
  return {
    kind,
    cheapReads: kind === 'file',
    head: () => Promise.resolve(meta()),
    // A read that the case before left under way must not get bytes of this one.
    getRange: async ({ eTag }, range) => {
      if (eTag !== meta().eTag) throw new ServiceError('changed', 'changed', 'the case is over');
      return bytes.slice(range.start, range.end);
    },
    async *list() {
      if (bytes.length < 0) yield meta();
    },
    close: () => Promise.resolve(),
  };
}

function makeNode(kind: 'file' | 's3'): PointlakeNode {
  const store = memoryStore(kind);
  return createNode({
    s3: {},
    cacheMemoryBytes: 32 * 2 ** 20,
    tables: [],
    wrapStores: () => ({ storeFor: () => store }),
  });
}

interface Answer {
  readonly rows: ReadonlySet<string>;
  readonly isWhole: boolean;
  readonly error: ServiceError | undefined;
}

async function openMutant(node: PointlakeNode, key: string): Promise<Snapshot> {
  version += 1;
  const table = node.makeTable({ ...tableDefinition('t', PATH, [key]), plainParquet: true });
  return table.refresh();
}

async function scanMutant(node: PointlakeNode, snapshot: Snapshot): Promise<Answer> {
  const rows = new Set<string>();
  let read = 0;
  try {
    const projection = snapshot.projection(undefined, JSON_FORM);
    for await (const values of scannedRows({ node, snapshot }, projection)) {
      const text = rowText(projection, values);
      if (read < PARSED_ROWS_MAX) JSON.parse(text);
      rows.add(text);
      read += 1;
      if (read >= ROWS_MAX) return { rows, isWhole: false, error: undefined };
    }
  } catch (thrown) {
    return { rows, isWhole: false, error: typed(thrown) };
  } finally {
    counts.rows += read;
  }
  return { rows, isWhole: true, error: undefined };
}

async function lookUp(
  node: PointlakeNode,
  snapshot: Snapshot,
  good: Good,
  random: Random,
  scan: Answer,
): Promise<void> {
  const [leaf] = snapshot.keyLeaves;
  if (leaf === undefined) return;
  const keys = Array.from({ length: 3 }, () => good.keys[Math.floor(random() * good.keys.length)] ?? '0');
  for (const text of keys) {
    try {
      const key = [parseKeyJson(leaf, parseExactJson(text))];
      const projection = snapshot.projection(undefined, JSON_FORM);
      const options = { matches: 'all', limit: 20 } as const;
      const { items } = await node.engine.lookup(snapshot, [key], projection, options, new AbortController().signal);
      const [item] = items;
      if (item?.status === 'found' && 'rows' in item) checkFound(item.rows, scan);
      else if (item?.status === 'not_found') counts.notFound += 1;
      else if (item?.status === 'error' || item?.status === 'not_covered') typed(item.error);
      else throw new Error(`an answer of status ${item?.status}`);
    } catch (thrown) {
      // A mutant's key column may have another type, which then refuses the good file's keys.
      if (asServiceError(thrown).kind !== 'invalid') typed(thrown);
    }
  }
}

function checkFound(rows: readonly string[], scan: Answer): void {
  counts.found += rows.length;
  for (const row of rows) {
    JSON.parse(row);
    if (scan.isWhole && !scan.rows.has(row)) throw new Error(`a lookup found ${row}, which a scan does not have`);
  }
}

/** The error, where it is one that a broken file may cause; anything else is a fault of ours. */
function typed(thrown: unknown): ServiceError {
  const plain = thrown as ServiceError;
  const isTyped = plain.kind === 'corrupt' || plain.kind === 'unsupported' || CODES.includes(plain.code);
  if (!isTyped) throw thrown instanceof Error ? thrown : new Error(JSON.stringify(thrown));
  counts.byError.set(plain.code, (counts.byError.get(plain.code) ?? 0) + 1);
  return plain;
}

/** What the good file holds, so that keys that were there can be asked for. */
async function learn(node: PointlakeNode, seed: FuzzSeed): Promise<readonly Good[]> {
  bytes = seed.bytes;
  version += 1;
  const table = node.makeTable({ ...tableDefinition('t', PATH, []), plainParquet: true });
  const snapshot = await table.refresh();
  const projection = snapshot.projection(undefined, JSON_FORM);
  const texts = projection.columns.map(() => new Set<string>());
  for await (const values of scannedRows({ node, snapshot }, projection)) {
    for (const [i, text] of values.entries()) if (text !== 'null') texts[i]?.add(text);
  }
  return projection.columns.flatMap((column, i) => {
    const keys = [...(texts[i] ?? [])].slice(0, 30);
    const { leaf } = column;
    if (leaf === undefined || keys.length === 0) return [];
    try {
      parseKeyJson(leaf, parseExactJson(keys[0] ?? ''));
      return [{ seed, key: column.name, keys: [...keys, '"absent"', '123456789', '"QUJTRU5U"'] }];
    } catch {
      return [];
    }
  });
}

interface Case {
  readonly good: Good;
  readonly bytes: Uint8Array;
  readonly mutation: string;
}

const BEHIND_CRC = 'a flip behind a CRC';

/** A bomb one time in fifty, a flip behind a CRC one in twenty, else any mutation of any good file. */
function makeCase(goods: readonly Good[], boom: readonly FuzzSeed[], random: Random): Case {
  const one = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T;
  const kind = random();
  if (kind < 0.02) {
    const seed = one(boom);
    return { good: { seed, key: 'k', keys: ['0', '1'] }, bytes: seed.bytes, mutation: 'none' };
  }
  const checked = kind < 0.07 ? goods.filter(({ seed }) => seed.checkedBodies.length > 0) : [];
  if (checked.length > 0) {
    const good = one(checked);
    const [start, end] = one(good.seed.checkedBodies);
    const flipped = Uint8Array.from(good.seed.bytes);
    flipped[start + Math.floor(random() * (end - start))]! ^= 1 << Math.floor(random() * 8);
    return { good, bytes: flipped, mutation: BEHIND_CRC };
  }
  const good = one(goods);
  const mutation = one(Object.keys(MUTATIONS));
  return { good, bytes: MUTATIONS[mutation]!(good.seed, random), mutation };
}

async function runCase(node: PointlakeNode, { good, mutation }: Case, random: Random): Promise<'read' | 'refused'> {
  let snapshot: Snapshot;
  try {
    snapshot = await openMutant(node, good.key);
  } catch (thrown) {
    typed(thrown);
    return 'refused';
  }
  const scan = await scanMutant(node, snapshot);
  if (mutation === BEHIND_CRC && scan.error === undefined) throw new Error('a wrong CRC was not noticed');
  await lookUp(node, snapshot, good, random, scan);
  return scan.error === undefined ? 'read' : 'refused';
}

async function run(): Promise<void> {
  const progress = process.env.FUZZ_PROGRESS === undefined ? undefined : openSync(process.env.FUZZ_PROGRESS, 'w');
  const seeds = goodSeeds();
  const boom = bombs();
  let node = makeNode('file');
  const goods = await learnAll(node, seeds);
  const residentBefore = process.resourceUsage().maxRSS * 1024;
  for (let n = FIRST; n < FIRST + CASES; n += 1) {
    if (n % NODE_CASES === 0) {
      await node.close();
      node = makeNode(n % (2 * NODE_CASES) === 0 ? 'file' : 's3');
    }
    if (progress !== undefined) writeSync(progress, String(n).padEnd(12), 0);
    const random = randomFrom(SEED * 31 + n);
    const mutant = makeCase(goods, boom, random);
    bytes = mutant.bytes;
    const cpu = process.cpuUsage();
    const started = performance.now();
    try {
      counts[await runCase(node, mutant, random)] += 1;
      const { user, system } = process.cpuUsage(cpu);
      const wall = performance.now() - started;
      counts.slowestMs = Math.max(counts.slowestMs, (user + system) / 1000);
      if (user + system > CPU_MS_MAX * 1000 || wall > WALL_MS_MAX) throw new Error(`it took ${wall} ms`);
      const grown = process.resourceUsage().maxRSS * 1024 - residentBefore;
      if (grown > RESIDENT_BYTES_MAX) throw new Error(`resident memory grew by ${grown} bytes`);
    } catch (thrown) {
      const reason = thrown instanceof Error ? thrown.stack : String(thrown);
      const { good, mutation } = mutant;
      const what = `${good.seed.name}, key ${good.key}, mutation: ${mutation}`;
      process.stderr.write(`FUZZ_SEED=${SEED} FUZZ_FIRST=${n} FUZZ_CASES=1 (${what}): ${reason}\n`);
      process.exit(1);
    }
    counts.cases += 1;
  }
  await node.close();
  const grownBytes = process.resourceUsage().maxRSS * 1024 - residentBefore;
  const byError = Object.fromEntries(counts.byError);
  console.log(JSON.stringify({ ...counts, byError, seeds: seeds.length, bombs: boom.length, grownBytes }));
}

async function learnAll(node: PointlakeNode, seeds: readonly FuzzSeed[]): Promise<readonly Good[]> {
  const goods: Good[] = [];
  for (const seed of seeds) goods.push(...(await learn(node, seed)));
  return goods;
}

await run();
