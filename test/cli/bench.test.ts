/** `pointlake bench` as users run it, against a real server, another server, and our engine in its own process. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { BenchResult } from '../../src/bench/index.ts';
import { benchCommand } from '../../src/cli/bench.ts';
import { UsageError } from '../../src/cli/usage.ts';
import { FaultyS3 } from '../support/faulty-s3.ts';
import { nodeOf } from '../support/one-node.ts';
import { scratchFolder, writeParquet } from '../support/scratch.ts';
import { serve } from '../support/served.ts';

const BIN = fileURLToPath(new URL('../../bin/pointlake.js', import.meta.url));
const SHORT = ['--warmup', '50ms', '--duration', '300ms', '--ceiling', '0'];

/** Not synchronously: servers of these tests live in this process. */
function run(...args: readonly string[]) {
  return new Promise<{ readonly status: number; readonly stdout: string; readonly stderr: string }>((resolve) => {
    execFile(process.execPath, [BIN, 'bench', ...args], (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

function people(folder: string, name: string, score = (id: number) => id / 8): string {
  const ids = Array.from({ length: 3000 }, (_, i) => i * 2);
  return writeParquet(join(folder, `${name}.parquet`), [
    { name: 'id', data: ids.map(BigInt), type: 'INT64', nullable: false },
    { name: 'group', data: ids.map((id) => `group/${id}`), type: 'STRING' },
    { name: 'score', data: ids.map(score), type: 'DOUBLE' },
  ]);
}

async function served(context: TestContext, path: string, key: readonly string[]): Promise<string> {
  const node = nodeOf(context, [{ name: 'people', source: path, key }]);
  await node.catalog.get('people').refresh();
  const server = await serve(node);
  context.after(() => server.close());
  return `${server.url}/v1/tables/people`;
}

/**
 * Runs with `--json` and gives the result; the run must end well. A busy machine may give a short run no time at all, which
 * the run says; then it is asked for longer.
 */
async function resultOf(context: TestContext, ...args: readonly string[]): Promise<BenchResult> {
  const path = join(scratchFolder(context), 'result.json');
  let ended = await run(...SHORT, ...args, '--json', path);
  if (/no request ended within the measured time/.test(ended.stdout)) {
    ended = await run(...SHORT, '--duration', '5s', ...args, '--json', path);
  }
  const { status, stdout, stderr } = ended;
  assert.equal(stderr, '');
  assert.equal(status, 0, stdout);
  return JSON.parse(readFileSync(path, 'utf8')) as BenchResult;
}

test('a table over HTTP: keys from its file, some absent, answers checked, a report of all forms', async (context) => {
  const folder = scratchFolder(context);
  const path = people(folder, 'people');
  const url = await served(context, path, ['id']);
  const html = join(folder, 'report.html');
  const hdr = join(folder, 'report.hdr');
  const result = await resultOf(
    context,
    ...[url, '--keys-from', path, '--key', 'id', '--absent', '0.5', '--threads', '2'],
    ...['--distribution', 'zipf', '--html', html, '--hdr', hdr, '--ceiling', '100ms'],
  );
  assert.ok(result.requests > 0);
  assert.deepEqual(Object.keys(result.statuses).sort(), ['200', '404']);
  assert.equal(result.unexpected, 0);
  assert.equal(result.failed, 0);
  assert.equal(result.client_busy.length, 2);
  assert.deepEqual(result.checked?.wrong, []);
  assert.ok((result.ceiling?.requests_per_second ?? 0) > 0);
  const { memory, ...elsewhere } = result.tiers;
  assert.ok(memory !== undefined && memory.requests > 0);
  const others = Object.values(elsewhere).map(({ requests }) => requests);
  assert.equal(
    others.reduce((sum, requests) => sum + requests, memory.requests),
    result.requests,
    'each answer says where it came from',
  );
  assert.match(readFileSync(html, 'utf8'), /<svg /);
  assert.match(readFileSync(hdr, 'utf8'), /#\[Mean/);
});

test('a constant rate asks for so many, no more and no less', async (context) => {
  const url = await served(context, people(scratchFolder(context), 'people'), ['id']);
  const result = await resultOf(context, url, '--range', '0..0', '--rate', '200');
  assert.equal(result.requests + result.not_sent, 60);
  assert.equal(result.mode, 'open');
  assert.ok((result.service_us?.mean ?? Number.NaN) <= result.latency_us.mean);
});

test('batches and values; text keys that a path has to encode; integers that are not there', async (context) => {
  const folder = scratchFolder(context);
  const path = people(folder, 'people');
  const url = await served(context, path, ['group']);
  const source = ['--keys-from', path, '--key', 'group', '--absent', '0.2'];
  const batches = await resultOf(context, url, ...source, '--batch', '20', '--columns', 'id');
  assert.deepEqual(Object.keys(batches.key_statuses).sort(), ['found', 'not_found']);
  assert.deepEqual(batches.checked?.wrong, []);
  const values = await resultOf(context, url, ...source, '--value', 'score');
  assert.equal(values.unexpected, 0);
  const keys = join(folder, 'keys.txt');
  writeFileSync(keys, 'group/0\ngroup/2\r\n\ngroup/1\n');
  const lines = await resultOf(context, url, '--keys-file', keys, '--distribution', 'sequential');
  // The last of the three is not in the table.
  assert.equal(lines.unexpected, lines.statuses['404']);
  assert.ok(lines.unexpected > 0);
  assert.match(lines.warnings.join(), /found or absent where the keys say otherwise/);
});

test('a server of a configuration: its source gives the keys and checks the answers', async (context) => {
  const folder = scratchFolder(context);
  const path = people(folder, 'people');
  const port = new URL(await served(context, path, ['id'])).port;
  const config = join(folder, 'pointlake.yaml');
  writeFileSync(config, `server: { port: ${port} }\ntables: { people: { source: people.parquet, key: id } }\n`);
  const result = await resultOf(context, '--config', config);
  assert.ok((result.checked?.keys ?? 0) > 90);
  assert.deepEqual(Object.keys(result.statuses), ['200']);
});

test('in this process, by rows and batches', async (context) => {
  const path = people(scratchFolder(context), 'people');
  for (const more of [[], ['--batch', '10'], ['--rate', '500', '--columns', 'score']]) {
    const result = await resultOf(context, '--in-process', path, '--key', 'id', '--absent', '0.1', ...more);
    assert.ok(result.requests > 0);
    assert.equal(result.unexpected, 0);
    assert.equal(result.failed, 0);
    assert.deepEqual(result.checked?.wrong, []);
    assert.ok((result.tiers.memory?.requests ?? 0) > 0);
    assert.equal(result.ceiling, undefined);
  }
});

test('S3 itself: plain ranged GETs, each at the listed version and once, whatever becomes of it', async (context) => {
  const s3 = await FaultyS3.start();
  context.after(() => s3.stop());
  s3.put('lake', 't/a.bin', Buffer.alloc(10_500, 1));
  s3.put('lake', 't/b.bin', Buffer.alloc(700, 2));
  const folder = scratchFolder(context);
  const config = join(folder, 'pointlake.yaml');
  writeFileSync(config, `storage: { s3: { endpoint: "${s3.endpoint}", anonymous: true } }\ntables: {}\n`);
  const gets = ['s3://lake/t/', '--config', config, '--bytes', '1000', '--connections', '2'];
  const result = await resultOf(context, ...gets, '--distribution', 'sequential', '--rate', '100');
  assert.deepEqual(Object.keys(result.statuses), ['206']);
  assert.equal(result.failed, 0);
  assert.equal(result.load.keys, 11);
  const asked = s3.requests.filter(({ op }) => op === 'get');
  const ranges = [
    ...Array.from({ length: 10 }, (_, i) => `t/a.bin bytes=${i * 1000}-${i * 1000 + 999}`),
    't/b.bin bytes=0-699',
  ];
  assert.deepEqual(new Set(asked.map(({ key, range }) => `${key} ${range}`)), new Set(ranges));
  assert.ok(asked.every(({ ifMatch }) => ifMatch !== undefined));
  const before = s3.requests.length;
  const slowDown = { kind: 'status', status: 503, code: 'SlowDown' } as const;
  s3.failNext('get', ...Array.from({ length: 5 }, () => slowDown));
  const refused = await resultOf(context, ...gets, '--rate', '100', '--warmup', '0ms');
  assert.equal(refused.failed, 5);
  assert.equal(s3.requests.slice(before).filter(({ op }) => op === 'get').length, refused.requests, 'none is retried');
});

test('wrong answers are told, and nothing is timed', async (context) => {
  const folder = scratchFolder(context);
  const url = await served(context, people(folder, 'people'), ['id']);
  const other = people(folder, 'other', (id) => id / 8 + (id > 3000 ? 1 : 0));
  for (const more of [[], ['--batch', '5']]) {
    const { status, stdout, stderr } = await run(url, '--keys-from', other, '--key', 'id', ...more, ...SHORT);
    assert.equal(status, 1);
    assert.equal(stdout, '');
    assert.match(
      stderr,
      /^pointlake: \d+ of \d+ answers differ from a plain read of .*other\.parquet, first that of key \d+/,
    );
  }
});

async function otherServer(context: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('any server by a template, with headers and bodies; refusals and cut connections are counted', async (context) => {
  const seen = new Set<string>();
  let asked = 0;
  const origin = await otherServer(context, (request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      asked += 1;
      seen.add(`${request.method} ${request.url} ${request.headers['x-client']} ${body}`);
      if (asked % 10 === 0) request.socket.destroy();
      else response.writeHead(asked % 10 === 5 ? 429 : 200).end('{}');
    });
  });
  const headers = ['--header', 'X-Client: bench', '--distribution', 'sequential', '--connections', '1'];
  const got = await resultOf(context, `${origin}/by?id={key}&all=1`, '--range', '-1..1', ...headers);
  assert.ok((got.statuses['200'] ?? 0) > 0 && (got.statuses['429'] ?? 0) > 0);
  assert.equal(got.failed, got.requests - (got.statuses['200'] ?? 0));
  assert.deepEqual([...seen].sort(), [-1, 0, 1].map((key) => `GET /by?id=${key}&all=1 bench `).sort());
  seen.clear();
  await resultOf(context, `${origin}/many`, '--range', '1..2', '--batch', '2', '--body', '{"ids":{keys}}', ...headers);
  assert.deepEqual([...seen], ['POST /many bench {"ids":["1","2"]}']);
});

test('wrong usage exits 2 with one line that says what would be right', async (context) => {
  const path = people(scratchFolder(context), 'people');
  const url = 'http://127.0.0.1:8080/v1/tables/people';
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [[], /say one target/],
    [[url, '--in-process', path], /say one target/],
    [['localhost'], /no URL; write http:/],
    [['s3://lake/a', '--range', '1..2'], /--range does not go with s3:.*ranges are got/],
    [['s3://lake/a', '--bytes', '1GiB'], /--bytes takes 1B to 64MiB/],
    [[url, '--bytes', '1KiB'], /--bytes is of ranged GETs/],
    [[url, '--ceiling', '1ms'], /--ceiling takes 100 ms/],
    [['http://127.0.0.1:8080/people'], /no table's URL.*\{key\}/],
    [['--in-process', path], /needs the --key/],
    [['--in-process', path, '--key', 'id', '--columns', 'nope'], /no column "nope"/],
    [['--in-process', path, '--key', 'id', '--header', 'a: b'], /over HTTP/],
    [[url, '--distribution', 'zipf:x'], /none of uniform, sequential, zipf/],
    [[url, '--absent', '2'], /share from 0 to 1/],
    [[url, '--rate', '0'], /--rate takes a whole number from 1/],
    [[url, '--connections', '4', '--threads', '5'], /--threads takes a whole number from 1 to 4/],
    [[url, '--duration', 'soon'], /expected a duration/],
    [[url, '--batch', '5', '--value', 'a'], /neither --columns nor --batch/],
    [['http://127.0.0.1/{key}', '--batch', '5'], /--body with \{keys\}/],
    [['http://127.0.0.1/{key}', '--range', '5..1'], /no range of integers/],
    [['http://127.0.0.1/{key}', '--keys-file', '/nowhere'], /cannot be read/],
    [['http://127.0.0.1/{key}'], /say which keys/],
    [['http://127.0.0.1/{key}', '--header', 'x', '--range', '1..2'], /write it as 'name: value'/],
  ];
  for (const [args, line] of cases) {
    const called = benchCommand().exitOverride().parseAsync(args, { from: 'user' });
    await assert.rejects(called, (thrown: Error) => thrown instanceof UsageError && line.test(thrown.message));
  }
  const { status, stdout, stderr } = await run(url, '--rate', 'fast');
  assert.deepEqual([status, stdout], [2, '']);
  assert.equal(stderr, 'pointlake: --rate takes a whole number from 1 to 10000000, not fast\n');
});

test('no server, no table: one line, exit 1', async (context) => {
  const url = await served(context, people(scratchFolder(context), 'people'), ['id']);
  const missing = await run(url.replace('people', 'nobody'), '--range', '1..2');
  assert.equal(missing.status, 1);
  assert.match(missing.stderr, /answered 404: .*nobody/);
  const origin = await otherServer(context, (_request, response) => response.end());
  const closed = createServer();
  await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
  const { port } = closed.address() as AddressInfo;
  await new Promise((resolve) => closed.close(resolve));
  const none = await run(`http://127.0.0.1:${port}/v1/tables/people`, '--range', '1..2');
  assert.equal(none.status, 1);
  assert.match(none.stderr, /no server answers at/);
  const broken = await run(`http://127.0.0.1:${port}/{key}`, '--range', '1..2', ...SHORT);
  assert.equal(broken.status, 1);
  assert.match(broken.stdout, /ECONNREFUSED/);
  assert.equal((await run(`${origin}/{key}`, '--range', '1..2', ...SHORT, '--html', '/nowhere/a.html')).status, 1);
});
