/** SIGHUP to a real server: tables come, go and change with the configuration file; what is wrong changes nothing. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { scratchFolder, writeParquet } from '../support/scratch.ts';

const BIN = fileURLToPath(new URL('../../bin/pointlake.js', import.meta.url));

class Served {
  readonly folder: string;
  readonly lines: string[] = [];
  url = '';
  readonly #child;
  readonly #waiting = new Set<() => void>();

  constructor(context: TestContext, folder: string) {
    this.folder = folder;
    this.#child = spawn(process.execPath, [BIN, 'serve', '--config', join(folder, 'pointlake.yaml')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    context.after(() => this.#child.kill('SIGKILL'));
    const lines = createInterface({ input: this.#child.stdout });
    lines.on('line', (line) => {
      this.lines.push(line);
      for (const wake of this.#waiting) wake();
    });
    lines.on('close', () => {
      for (const wake of this.#waiting) wake();
    });
  }

  /** The first line from there on that matches; `from` is a count of lines. */
  async line(form: RegExp, from = 0): Promise<string> {
    for (;;) {
      const found = this.lines.slice(from).find((line) => form.test(line));
      if (found !== undefined) return found;
      assert.equal(this.#child.exitCode, null, `the server ended:\n${this.lines.join('\n')}`);
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#waiting.delete(wake);
          resolve();
        };
        this.#waiting.add(wake);
      });
    }
  }

  /** The line that a reload ends with. */
  async reload(config: string): Promise<string> {
    writeFileSync(join(this.folder, 'pointlake.yaml'), config);
    const from = this.lines.length;
    this.#child.kill('SIGHUP');
    return this.line(/SIGHUP: (tables|nothing)/, from);
  }

  async get(path: string): Promise<Record<string, unknown>> {
    return (await (await fetch(`${this.url}/v1/tables${path}`)).json()) as Record<string, unknown>;
  }

  async names(): Promise<readonly string[]> {
    const { tables } = await this.get('');
    return (tables as { readonly name: string }[]).map(({ name }) => name);
  }
}

const SERVER = 'server: { port: 0 }\n';

function config(tables: string, server = SERVER): string {
  return `${server}tables:\n${tables}`;
}

async function start(context: TestContext, tables: string): Promise<Served> {
  const folder = scratchFolder(context);
  mkdirSync(join(folder, 'coming'));
  const ids = Array.from({ length: 100 }, (_, i) => i);
  for (const name of ['a', 'b']) {
    writeParquet(join(folder, `${name}.parquet`), [
      { name: 'id', data: ids, type: 'INT32', nullable: false },
      { name: 'big', data: ids.map((id) => BigInt(id) + 2n ** 60n), type: 'INT64', nullable: false },
      { name: 'other', data: ids.map((id) => id + 1000), type: 'INT32', nullable: false },
    ]);
  }
  writeFileSync(join(folder, 'pointlake.yaml'), config(tables));
  const served = new Served(context, folder);
  const ready = await served.line(/ready on /);
  served.url = /http:\S+/.exec(ready)?.[0] ?? '';
  return served;
}

const A = '  a: { source: a.parquet, key: id }\n';

test('tables that are added open, removed ones are gone, the same ones keep their snapshot and blocks', async (context) => {
  const served = await start(context, `${A}  b: { source: b.parquet, key: id }\n`);
  assert.deepEqual(await served.get('/a/rows/5'), { id: 5, big: 2 ** 60, other: 1005 });
  const before = await served.get('/a');
  const line = await served.reload(config(`${A}  c: { source: b.parquet, key: other }\n`));
  assert.match(line, /SIGHUP: tables: added c; removed b; 1 as before$/);
  assert.deepEqual(await served.names(), ['a', 'c']);
  assert.equal((await served.get('/b')).code, 'unknown_table');
  assert.equal((await served.get('/c/rows/1007')).id, 7);
  const after = await served.get('/a');
  assert.deepEqual(after.snapshot && { ...after.snapshot, age_seconds: 0 }, {
    ...(before.snapshot as object),
    age_seconds: 0,
  });
  const again = await fetch(`${served.url}/v1/tables/a/rows/5`);
  assert.equal(again.headers.get('pointlake-cache'), 'memory');
});

test('a changed table is served as it was until the new one is ready', async (context) => {
  const served = await start(context, A);
  const line = await served.reload(config(`  a: { source: coming/, key: other, refresh: 100ms }\n`));
  assert.match(line, /SIGHUP: tables: changed a; 0 as before$/);
  await served.line(/table a has nothing to serve: .*no_files/);
  assert.equal((await served.get('/a/rows/5')).id, 5, 'by the old key, from the old file');
  writeParquet(join(served.folder, 'coming', 'x.parquet'), [
    { name: 'other', data: [1, 2, 3], type: 'INT32', nullable: false },
  ]);
  await served.line(/its new definition serves from now on/);
  assert.deepEqual(await served.get('/a/rows/2'), { other: 2 });
  assert.equal((await served.get('/a/rows/5')).code, 'key_not_found');
  assert.match(await served.reload(config(A)), /changed a/);
  await served.line(
    /its new definition serves/,
    served.lines.findLastIndex((seen) => /SIGHUP/.test(seen)),
  );
  assert.equal((await served.get('/a/rows/5')).id, 5);
});

test('what is wrong is one line and changes nothing; what needs a restart is named', async (context) => {
  const served = await start(context, A);
  const wrong = await served.reload(
    config('  a: { source: a.parquet, key: id }\n  b: { source: b.parquet, key: id, sauce: hot }\n'),
  );
  assert.match(wrong, /SIGHUP: nothing was changed: .*pointlake\.yaml:4: tables\.b\.sauce: unknown key/);
  assert.match(await served.reload('tables: {}\n'), /nothing was changed: .*no tables left/);
  assert.match(await served.reload('tables: [\n'), /nothing was changed: .*pointlake\.yaml/);
  assert.deepEqual(await served.names(), ['a']);
  const from = served.lines.length;
  const server = 'server: { port: 1 }\ncache: { memory: 64MiB }\nlimits: { keys: 5 }\n';
  assert.match(await served.reload(config(A, server)), /tables: 1 as before/);
  await served.line(/a restart is needed for server, cache\.memory, limits/, from);
  assert.equal((await served.get('/a/rows/5')).id, 5);
});
