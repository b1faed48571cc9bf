/** The command as users run it: its output, its one-line errors, its exit codes, and how a server ends. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { scratchFolder, writeParquet } from '../support/scratch.ts';

const BIN = fileURLToPath(new URL('../../bin/pointlake.js', import.meta.url));

function run(...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [BIN, ...args], { encoding: 'utf8' });
  return { status, stdout, stderr };
}

/** Exit code, and one line on stderr that matches. */
function fails(args: readonly string[], status: number, line: RegExp): void {
  const result = run(...args);
  assert.equal(result.status, status, `${args.join(' ')}: ${result.stderr}`);
  assert.match(result.stderr, line);
  assert.equal(result.stderr.trimEnd().split('\n').length, 1, result.stderr);
  assert.equal(result.stdout, '');
}

function people(folder: string, name = 'people.parquet'): string {
  const ids = Array.from({ length: 3000 }, (_, i) => i);
  return writeParquet(
    join(folder, name),
    [
      { name: 'id', data: ids, type: 'INT32', nullable: false },
      { name: 'group', data: ids.map((id) => `group ${id % 10}`), type: 'STRING' },
      { name: 'score', data: ids.map((id) => id / 8), type: 'DOUBLE' },
    ],
    { rowsPerRowGroup: 1000 },
  );
}

test("help of every command has an example; the version is the package's", () => {
  assert.match(run('--version').stdout, /^\d+\.\d+\.\d+\n$/);
  for (const command of ['serve', 'lookup', 'scan', 'inspect', 'preload', 'bench']) {
    const help = run(command, '--help');
    assert.equal(help.status, 0);
    assert.match(help.stdout, new RegExp(`Examples?:\\n +pointlake ${command} `));
  }
});

test('wrong usage exits 2 with one line', (context) => {
  const folder = scratchFolder(context);
  const path = people(folder);
  fails(['frobnicate'], 2, /unknown command/);
  fails(['serve', '--prot', '80'], 2, /unknown option/);
  fails(['serve'], 2, /nothing to serve/);
  fails(['serve', '--port', '99999', path], 2, /port from 0 to 65535/);
  fails(['serve', path], 2, /needs a key column: .*--key id.*Likely keys: id/);
  fails(['lookup', path, '5'], 2, /--key/);
  fails(['scan', path, '--columns', 'nope'], 2, /no column "nope"; the columns are id, group, score/);
  fails(['scan', path, '--where', 'id'], 2, /no predicate/);
  fails(['scan', path, '--where', 'id>=abc'], 2, /id/);
  fails(['scan', path, '--limit', 'few'], 2, /whole number/);
});

test('a failure exits 1 with one line that names what is wrong', (context) => {
  const folder = scratchFolder(context);
  writeFileSync(join(folder, 'text.parquet'), 'this is text, and it is long enough for a footer');
  fails(['scan', join(folder, 'missing.parquet')], 1, /missing\.parquet/);
  fails(['inspect', join(folder, 'text.parquet')], 1, /not a Parquet file/);
  fails(['scan', `${folder}/none-*.parquet`], 1, /no files/);
  fails(['serve', 'gs://lake/a.parquet', '--key', 'id'], 1, /gs:\/\/ is not in this version/);
});

test('a mistake in the configuration is one line that names the place', (context) => {
  const path = join(scratchFolder(context), 'pointlake.yaml');
  writeFileSync(path, 'server:\n  prot: 80\n');
  fails(['serve', '--config', path], 2, /pointlake\.yaml:2: server\.prot: unknown key; expected one of host, port/);
  fails(['serve', '--config', `${path}.none`], 2, /cannot be read/);
});

test('lookup prints a line a key, in order, and a bad key is its own line', (context) => {
  const path = people(scratchFolder(context));
  const { stdout, status } = run('lookup', path, '--key', 'id', '--columns', 'id,score', '2999', '5000', 'x', '0');
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(lines.slice(0, 2), [
    { key: '2999', status: 'found', row: { id: 2999, score: 2999 / 8 } },
    { key: '5000', status: 'not_found' },
  ]);
  assert.equal(lines[2].error.code, 'bad_key');
  assert.deepEqual(lines[3].row, { id: 0, score: 0 });
  assert.equal(status, 1);
});

test("lookup in a configuration's table goes by its definition: named keys, default columns", (context) => {
  const folder = scratchFolder(context);
  people(folder);
  const config = join(folder, 'pointlake.yaml');
  writeFileSync(
    config,
    'tables:\n  people:\n    source: people.parquet\n    key: id\n    index: hash\n    default_columns: [id]\n    keys: { pair: [group, id], cohort: group }\n',
  );
  const lines = (...args: readonly string[]) =>
    run('lookup', 'people', '--config', config, ...args)
      .stdout.trimEnd()
      .split('\n');
  assert.deepEqual(lines('7'), ['{"key":"7","status":"found","row":{"id":7}}']);
  assert.deepEqual(lines('--by', 'pair', '--columns', 'score', 'group%203/13', 'group%203/14'), [
    '{"key":"group%203/13","status":"found","row":{"score":1.625}}',
    '{"key":"group%203/14","status":"not_found"}',
  ]);
  assert.equal(JSON.parse(lines('--by', 'cohort', '--all', 'group 3')[0] ?? '').rows.length, 300);
  fails(['lookup', 'persons', '--config', config, '7'], 2, /no table "persons"; its tables are: people/);
  fails(['lookup', 'people', '--config', config, '--by', 'none', '7'], 1, /named keys are pair, cohort/);
  fails(['lookup', 'people', '--config', config, '--key', 'id', '7'], 2, /--by NAME/);
  fails(['lookup', join(folder, 'people.parquet'), '--key', 'id', '--by', 'pair', '7'], 2, /--by needs --config/);
});

test('scan reads everything, chosen columns, under predicates and a limit', (context) => {
  const folder = scratchFolder(context);
  people(folder, 'a.parquet');
  people(folder, 'b.parquet');
  const all = run('scan', `${folder}/`).stdout.trimEnd().split('\n');
  assert.equal(all.length, 6000);
  assert.deepEqual(JSON.parse(all[3001] ?? ''), { id: 1, group: 'group 1', score: 0.125 });
  const some = run(
    'scan',
    `${folder}/*.parquet`,
    '--columns',
    'id',
    '--where',
    'group=group 3',
    '--where',
    'id>=1000',
    '--limit',
    '3',
  );
  assert.deepEqual(some.stdout, '{"id":1003}\n{"id":1013}\n{"id":1023}\n');
});

test('inspect tells rows, row groups and indexes, as text and as JSON', (context) => {
  const path = people(scratchFolder(context));
  assert.match(run('inspect', path).stdout, /3000 rows in 3 row groups of 1000/);
  const report = JSON.parse(run('inspect', path, '--key', 'id', '--json').stdout);
  assert.equal(report.rows, 3000);
  assert.deepEqual(
    report.columns.map((column: { name: string; type: string; chunks: number }) => [
      column.name,
      column.type,
      column.chunks,
    ]),
    [
      ['id', 'INT32', 3],
      ['group', 'BYTE_ARRAY STRING', 3],
      ['score', 'DOUBLE', 3],
    ],
  );
});

test('inspect with a key tells what lookups by it take, and what would make it less', (context) => {
  const folder = scratchFolder(context);
  const ids = Array.from({ length: 30_000 }, (_, i) => (i * 7919) % 30_000);
  const path = writeParquet(
    join(folder, 'shuffled.parquet'),
    [
      { name: 'id', data: ids, type: 'INT32', encoding: 'PLAIN', nullable: false },
      { name: 'blob', data: ids.map((id) => `${id}`.repeat(20)), type: 'STRING', encoding: 'PLAIN' },
    ],
    { rowsPerRowGroup: 10_000, pageIndex: true, codec: 'UNCOMPRESSED' },
  );
  const { lookups, columns } = JSON.parse(run('inspect', path, '--key', 'id', '--json').stdout);
  assert.equal(lookups.depth.rowGroups.p50, 3);
  assert.deepEqual(lookups.depth.pages.max, columns[0].pages.count);
  assert.equal(lookups.cold.keyOnly.roundTrips.p50 >= 1, true);
  assert.ok(lookups.cold.allColumns.bytes.p50 > lookups.cold.keyOnly.bytes.p50);
  assert.equal(lookups.index.isBuilt, true);
  assert.equal(lookups.index.bytes, Math.round(30_000 * 9.05));
  const said = lookups.advice.map((one: { problem: string; advice: string }) => `${one.problem}; ${one.advice}`);
  assert.ok(said.some((line: string) => /not clustered by id.*key index/.test(line)));

  const sorted = JSON.parse(run('inspect', people(folder), '--key', 'id', '--json').stdout).lookups;
  assert.deepEqual(sorted.depth.pages, { mean: 1, p50: 1, p99: 1, max: 1 });
  assert.equal(sorted.cold.allColumns.gets.max, 1, 'a small file is read whole');
  assert.equal(sorted.index.isBuilt, false);
  assert.match(run('inspect', path, '--key', 'id').stdout, /lookups by id, of \d+ sampled keys:/);
  fails(['inspect', path, '--key', 'id,missing'], 1, /no column "missing"/);
});

interface Running {
  readonly child: ChildProcess;
  readonly url: string;
  readonly lines: readonly string[];
}

/** Starts `serve` on a free port and waits for its ready line and the curl lines after it. */
async function start(context: TestContext, args: readonly string[], curls: number): Promise<Running> {
  const child = spawn(process.execPath, [BIN, 'serve', '--port', '0', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  context.after(() => child.kill('SIGKILL'));
  const lines: string[] = [];
  let url = '';
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line);
    url ||= /ready on (http:\S+)/.exec(line)?.[1] ?? '';
    if (url !== '' && lines.filter((seen) => seen.startsWith('curl ')).length === curls) break;
  }
  assert.notEqual(url, '', lines.join('\n'));
  return { child, url, lines };
}

test('serve prints a curl for each table that works as printed, warns when it is open, and drains on SIGTERM', async (context) => {
  const folder = scratchFolder(context);
  const path = people(folder);
  mkdirSync(join(folder, 'named'));
  people(join(folder, 'named'));
  const { child, lines } = await start(
    context,
    [path, '--table', `other=${folder}/named/`, '--key', 'id', '--host', '0.0.0.0'],
    2,
  );
  assert.ok(lines.some((line) => /warning: .*without authentication/.test(line)));
  for (const curl of lines.filter((line) => line.startsWith('curl '))) {
    const printed = spawnSync('sh', ['-c', curl.replace(/^curl /, 'curl -sf ')], { encoding: 'utf8' });
    assert.equal(printed.status, 0, curl);
    assert.deepEqual(JSON.parse(printed.stdout), { id: 0, group: 'group 0', score: 0 });
  }
  child.kill('SIGTERM');
  const [code] = await once(child, 'exit');
  assert.equal(code, 0);
});

test('a port that is taken, and a killed server that starts again', async (context) => {
  const path = people(scratchFolder(context));
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  context.after(() => taken.close());
  const address = taken.address();
  const port = typeof address === 'object' ? address?.port : 0;
  fails(['serve', path, '--key', 'id', '--port', String(port)], 1, /another program listens there/);

  const first = await start(context, [path, '--key', 'id'], 1);
  assert.equal((await fetch(`${first.url}/v1/tables/people/rows/2999`)).status, 200);
  first.child.kill('SIGKILL');
  await once(first.child, 'exit');
  const second = await start(context, [path, '--key', 'id'], 1);
  const answer = await fetch(`${second.url}/v1/tables/people/rows/2999`);
  assert.deepEqual(await answer.json(), { id: 2999, group: 'group 9', score: 2999 / 8 });
});
