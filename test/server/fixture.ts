/** Small tables that have every awkward key and value, served over real HTTP, and ways to ask. */

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { NodeOptions, PointlakeNode } from '../../src/main.ts';
import type { PointlakeServer, ServerOptions } from '../../src/server/index.ts';
import { nodeOf } from '../support/one-node.ts';
import { scratchFolder, writeParquet } from '../support/scratch.ts';
import { serve } from '../support/served.ts';

export const LONG_KEY = `${'ü/'.repeat(2730)}ab`;
export const BEYOND_DOUBLE = 9007199254740993n;

export interface Fixture {
  readonly folder: string;
  readonly node: PointlakeNode;
  readonly server: PointlakeServer;
  readonly url: string;
}

export interface FixtureOptions {
  readonly server?: Partial<ServerOptions>;
  readonly node?: Partial<NodeOptions>;
}

export async function startFixture(context: TestContext, options: FixtureOptions = {}): Promise<Fixture> {
  const folder = scratchFolder(context);
  writeFiles(folder);
  const node = nodeOf(context, tablesOf(folder), options.node);
  for (const table of node.catalog.tables()) await table.refresh().catch(() => undefined);
  const server = await serve(node, options.server);
  context.after(() => server.close());
  return { folder, node, server, url: server.url };
}

function tablesOf(folder: string) {
  return [
    { name: 'users', source: join(folder, 'users.parquet'), key: ['id'] },
    { name: 'docs', source: join(folder, 'docs.parquet'), key: ['tenant', 'doc'] },
    { name: 'events', source: join(folder, 'events.parquet'), key: ['day'] },
    { name: 'nothing', source: `${join(folder, 'nothing')}/`, key: ['id'], options: { required: false } },
    { name: 'empty', source: `${join(folder, 'nothing')}/`, key: ['id'], options: { allowEmpty: true } },
    { name: 'halfBroken', source: `${join(folder, 'half')}/`, key: ['id'] },
  ];
}

function writeFiles(folder: string): void {
  writeParquet(join(folder, 'users.parquet'), [
    { name: 'id', data: [1n, 2n, 3n, 9007199254740992n, BEYOND_DOUBLE, -(2n ** 63n), 2n ** 63n - 1n], type: 'INT64' },
    { name: 'name', data: ['Ada', null, 'a"b\\c', 'x', 'exact', 'min', 'max'], type: 'STRING' },
    { name: 'score', data: [1.5, Number.NaN, -0, 1e21, Number.POSITIVE_INFINITY, 0.1, 2], type: 'DOUBLE' },
    { name: 'photo', data: bytesColumn(7), type: 'BYTE_ARRAY' },
    { name: 'profile', data: [{ a: 1 }, null, {}, {}, {}, {}, {}], type: 'JSON' },
    { name: 'seen', data: Array.from({ length: 7 }, (_, i) => new Date(i * 1001)), type: 'TIMESTAMP' },
    { name: 'a,b', data: [1, 2, 3, 4, 5, 6, 7], type: 'INT32' },
    { name: 'a/b c', data: [1, 2, 3, 4, 5, 6, 7], type: 'INT32' },
  ]);
  const docs = [
    'plain',
    'with/slash',
    'per%cent',
    'space and +',
    'ünïcode',
    'a?b=c',
    'a#b',
    'a;b',
    '.',
    '..',
    '',
    LONG_KEY,
  ];
  writeParquet(join(folder, 'docs.parquet'), [
    { name: 'tenant', data: [...docs.map(() => 'eu/west'), 'us'], type: 'STRING' },
    { name: 'doc', data: [...docs, 'plain'], type: 'STRING' },
    { name: 'n', data: [...docs.keys(), 99], type: 'INT32' },
  ]);
  const days = Array.from({ length: 300 }, (_, i) => i % 3);
  writeParquet(join(folder, 'events.parquet'), [
    { name: 'day', data: days, type: 'INT32' },
    { name: 'n', data: days.map((_, i) => i), type: 'INT32' },
  ]);
  mkdirSync(join(folder, 'nothing'));
  mkdirSync(join(folder, 'half'));
  writeParquet(join(folder, 'half', 'good.parquet'), [
    { name: 'id', data: [1n, 2n], type: 'INT64' },
    { name: 'name', data: ['one', 'two'], type: 'STRING' },
  ]);
  writeFileSync(join(folder, 'half', 'text.parquet'), 'this is a text file, whatever its name says\n');
}

function bytesColumn(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => Uint8Array.of(i, 255, 0));
}

/** An error answer: its status must be the one it says, its type stable, its detail a sentence. */
export async function problemOf(answer: Response): Promise<Record<string, unknown>> {
  assert.equal(answer.headers.get('content-type'), 'application/problem+json');
  const problem = (await answer.json()) as Record<string, unknown>;
  assert.equal(problem.status, answer.status);
  assert.equal(problem.type, `urn:pointlake:problem:${problem.code}`);
  assert.ok(String(problem.title).length > 3 && String(problem.detail).length > 10, JSON.stringify(problem));
  assert.ok(!String(problem.detail).includes('\n'));
  const retryAfter = answer.headers.get('retry-after');
  assert.equal(retryAfter !== null && Number(retryAfter) >= 1, answer.status === 503 || answer.status === 429);
  return problem;
}

export async function expectProblem(url: string, status: number, code: string, init?: RequestInit) {
  const answer = await fetch(url, init);
  const problem = await problemOf(answer);
  assert.deepEqual([problem.status, problem.code], [status, code], JSON.stringify(problem));
  return problem;
}

export function post(url: string, body: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(url, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body });
}

export interface RawAnswer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

/** Bytes over a socket, for what no client library would send; resolves when the server closes. */
export function sendRaw(url: string, bytes: string | Buffer): Promise<RawAnswer> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(bytes));
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('error', reject);
    socket.on('close', () => {
      const text = Buffer.concat(chunks).toString('utf8');
      const [head = '', ...rest] = text.split('\r\n\r\n');
      resolve({ status: Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1]), head, body: rest.join('\r\n\r\n') });
    });
  });
}

export function rawGet(target: string, more = ''): string {
  return `GET ${target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n${more}\r\n`;
}
