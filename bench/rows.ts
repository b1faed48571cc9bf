/**
 * What it takes to find and encode one row of 24 columns from blocks in memory, without the row cache and without HTTP; and
 * one that the row cache has.
 *
 *     npm run bench -- rows [--small] [--beside PATH]
 *
 * `tight` is a loop of nothing else. `disturbed` goes through 4 MiB of other memory between any two rows and leaves that out
 * of the time, which is nearer to a server that does other work between requests: there the misses of caches are the cost. `kept`
 * is a loop over rows of which each is kept as text, as the cache's own count says.
 * With `--beside` another checkout of this repository is measured by turns with this one, each time in a process of its
 * own, over the same file and keys; their answers must be equal.
 */

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { ByteWriter, parquetWrite } from 'hyparquet-writer';
import { randomNumbers } from './harness/access-traces.ts';

const isSmall = process.argv.includes('--small');
const ROWS = isSmall ? 20_000 : 400_000;
const ROWS_A_GROUP = 100_000;
const TIGHT_ROWS = isSmall ? 5_000 : 100_000;
const DISTURBED_ROWS = isSmall ? 500 : 3_000;
const ROUNDS = isSmall ? 1 : 3;
const DISTURBING_BYTES = 4 * 2 ** 20;
/** Rows that fit in so much of a row cache with room to spare. */
const KEPT_ROWS = isSmall ? 5_000 : 100_000;
const KEPT_BYTES = 2 ** 28;
const KEPT_WITHIN_MS = 60_000;
const SEED = 24;

interface Measured {
  readonly tightUs: number;
  readonly disturbedUs: number;
  readonly keptUs: number;
  readonly digest: string;
  readonly rowBytes: number;
}

const child = process.argv.indexOf('--child');
if (child >= 0) console.log(JSON.stringify(await measure(process.argv[child + 1]!, process.argv[child + 2]!)));
else compare();

function compare(): void {
  const folder = mkdtempSync(join(tmpdir(), 'pointlake-rows-'));
  const own = fileURLToPath(new URL('..', import.meta.url));
  const beside = process.argv.indexOf('--beside');
  const roots = beside < 0 ? [own] : [process.argv[beside + 1]!, own];
  try {
    const file = join(folder, 'rows.parquet');
    writeTable(file);
    const measured = roots.map((): Measured[] => []);
    for (let round = 0; round < ROUNDS; round++) {
      for (const [i, root] of roots.entries()) {
        const args = [fileURLToPath(import.meta.url), '--child', root, file, ...(isSmall ? ['--small'] : [])];
        measured[i]!.push(JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' })));
      }
    }
    print(roots, measured);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function print(roots: readonly string[], measured: readonly (readonly Measured[])[]): void {
  const [{ digest, rowBytes }] = measured[0] as [Measured];
  if (measured.flat().some((one) => one.digest !== digest)) throw new Error('the checkouts answer differently');
  console.log(`${ROWS} rows x 24 columns, uniform random keys, ${rowBytes} bytes a row; us a row, median of ${ROUNDS}`);
  for (const [i, root] of roots.entries()) {
    const name = roots.length === 1 ? 'this checkout' : i === 0 ? `beside (${root})` : 'this checkout';
    const tight = median(measured[i]!.map((one) => one.tightUs));
    const disturbed = median(measured[i]!.map((one) => one.disturbedUs));
    const kept = median(measured[i]!.map((one) => one.keptUs)).toFixed(2);
    console.log(`${name.padEnd(40)} tight ${tight.toFixed(2)}   disturbed ${disturbed.toFixed(2)}   kept ${kept}`);
  }
  if (roots.length > 1) {
    const ratio = (of: (one: Measured) => number) =>
      median(measured[1]!.map((one, round) => of(one) / of(measured[0]![round]!))).toFixed(2);
    console.log(
      `ratio: tight ${ratio((one) => one.tightUs)}, disturbed ${ratio((one) => one.disturbedUs)}, kept ${ratio((one) => one.keptUs)}`,
    );
  }
  console.log(`digest ${digest}`);
}

function writeTable(path: string): void {
  const random = randomNumbers(SEED);
  const options = { encoding: 'PLAIN', nullable: false, columnIndex: true, offsetIndex: true } as const;
  const doubles = Array.from({ length: 20 }, (_, i) => ({
    name: `feature_${i}`,
    data: Float64Array.from({ length: ROWS }, () => random() / 2 ** 32 + i),
    type: 'DOUBLE' as const,
    ...options,
  }));
  const strings = (name: string, text: (row: number) => string) => ({
    name,
    data: Array.from({ length: ROWS }, (_, row) => text(row)),
    type: 'STRING' as const,
    ...options,
  });
  const writer = new ByteWriter();
  parquetWrite({
    writer,
    columnData: [
      { name: 'id', data: BigInt64Array.from({ length: ROWS }, (_, row) => BigInt(row)), type: 'INT64', ...options },
      ...doubles,
      strings('city', (row) => `city ${row % 977}`),
      strings('device', (row) => `device-${random()}-${row}`),
      strings('text', (row) => `${row} ${'the quick brown fox jumps over '.repeat(6)}`),
    ],
    codec: 'UNCOMPRESSED',
    rowGroupSize: ROWS_A_GROUP,
    pageSize: 2 ** 18,
  });
  writeFileSync(path, writer.getBytes());
}

async function measure(root: string, file: string): Promise<Measured> {
  const load = (path: string) => import(pathToFileURL(join(root, path)).href);
  const { createNode } = (await load('src/main.ts')) as typeof import('../src/main.ts');
  const { tableDefinition } = (await load('src/table/index.ts')) as typeof import('../src/table/index.ts');
  const { LookupEngine } = (await load('src/shard/index.ts')) as typeof import('../src/shard/index.ts');
  const { RowCache } = (await load('src/cache/index.ts')) as typeof import('../src/cache/index.ts');
  if (!existsSync(file)) throw new Error(`there is no ${file}`);
  const tables = [tableDefinition('rows', file, ['id'])];
  const node = createNode({ s3: {}, cacheMemoryBytes: 4 * 2 ** 30, tables });
  const snapshot = await node.catalog.get('rows').refresh();
  const projection = snapshot.projection(undefined);
  const signal = new AbortController().signal;
  for (let row = 0; row < ROWS; row += 100) await node.engine.row(snapshot, [BigInt(row)], projection, signal);
  const engine = new LookupEngine(node.loader, new RowCache(0));
  const random = randomNumbers(SEED + 1);
  const textOf = (from: Pick<typeof engine, 'tryRow'>, id: number) => {
    const text = from.tryRow(snapshot, [BigInt(id)], projection);
    if (text === undefined || text === null) throw new Error('a row is not in memory');
    return text;
  };
  const rowText = () => textOf(engine, random() % ROWS);
  const hash = createHash('sha256');
  let bytes = 0;
  for (let i = 0; i < 2000; i++) {
    const text = rowText();
    hash.update(text);
    bytes += text.length;
  }
  const tightUs = tight(rowText);
  const disturbedUs = disturbed(rowText);
  const rows = new RowCache(KEPT_BYTES);
  const keeping = new LookupEngine(node.loader, rows);
  // The memory for them comes bit by bit.
  for (const end = performance.now() + KEPT_WITHIN_MS; rows.stats.entries < KEPT_ROWS; await sleep(10)) {
    if (performance.now() > end) throw new Error(`${rows.stats.entries} of ${KEPT_ROWS} rows are kept`);
    for (let id = 0; id < KEPT_ROWS; id++) textOf(keeping, id);
  }
  const before = rows.stats;
  const keptUs = tight(() => textOf(keeping, random() % KEPT_ROWS));
  const { hits, misses } = rows.stats;
  if (hits - before.hits !== TIGHT_ROWS || misses > before.misses) throw new Error('not every row was kept');
  await node.close();
  return { tightUs, disturbedUs, keptUs, digest: hash.digest('hex').slice(0, 16), rowBytes: Math.round(bytes / 2000) };
}

function tight(rowText: () => string): number {
  const started = performance.now();
  let characters = 0;
  for (let i = 0; i < TIGHT_ROWS; i++) characters += rowText().length;
  if (characters === 0) throw new Error('no row was read');
  return ((performance.now() - started) * 1000) / TIGHT_ROWS;
}

/** The median of single rows. */
function disturbed(rowText: () => string): number {
  const other = new Int32Array(DISTURBING_BYTES / 4);
  const times: number[] = [];
  for (let i = 0; i < DISTURBED_ROWS; i++) {
    for (let at = 0; at < other.length; at += 16) other[at]! += i;
    const started = performance.now();
    rowText();
    times.push((performance.now() - started) * 1000);
  }
  return median(times);
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}
