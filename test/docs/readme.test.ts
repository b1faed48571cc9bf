/**
 * The documents are true: each curl of README.md and docs/http-api.md is run as printed against a real server on the
 * real tables, only with another port, and its answer held against the one shown. Every link leads somewhere, every
 * error code is explained, every configuration that is shown is one.
 */

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseConfig } from '../../src/cli/config.ts';
import { makeDataSets } from '../support/data-sets.ts';
import { errorCodesOf } from './error-codes.ts';
import { difference, examplesOf, fencesOf } from './examples.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const PRINTED = 'http://127.0.0.1:8080';
/** Documents that show answers, and how many at least: an extraction that finds nothing must not pass. */
const WITH_EXAMPLES = { 'README.md': 6, 'docs/http-api.md': 15 };

for (const [path, atLeast] of Object.entries(WITH_EXAMPLES)) {
  test(`${path}: every curl answers as shown`, async (context) => {
    const examples = examplesOf(read(path));
    assert.ok(examples.length >= atLeast, `only ${examples.length} examples were found`);
    const url = await startServer(context);
    for (const { line, command, answer } of examples) {
      assert.ok(command.includes(PRINTED), `${path}:${line} asks another server than npm start's`);
      const ran = spawnSync('sh', ['-c', command.replaceAll(PRINTED, url)], { encoding: 'utf8' });
      assert.equal(ran.status, 0, `${path}:${line}: ${ran.stderr}`);
      assert.equal(difference(answer, ran.stdout), undefined, `${path}:${line} shows another answer:\n${command}`);
    }
  });
}

test('an answer that differs in anything shown is told', () => {
  const json = (text: string) => ({ language: 'json', text, line: 1 });
  assert.equal(difference(json('{"a":1,"b":["…"],"c":"…"}'), '{"a":1,"b":[1,2],"c":{}}'), undefined);
  assert.equal(difference(json('{"b":2,"…":"…"}'), '{"a":1,"b":2}'), undefined);
  const others: readonly [string, string][] = [
    ['{"a":9007199254740992}', '{"a":9007199254740993}'],
    ['{"a":1.0}', '{"a":1}'],
    ['{"a":1,"b":2}', '{"b":2,"a":1}'],
    ['{"a":1}', '{"a":1,"b":2}'],
    ['{"a":null}', '{}'],
    ['[1]', '[1,2]'],
    ['[1,"…"]', '[1]'],
    ['"1"', '1'],
  ];
  for (const [shown, actual] of others) assert.ok(difference(json(shown), actual) !== undefined, `${shown} ${actual}`);
  const http = { language: 'http', text: 'HTTP/1.1 200 OK\netag: "…"\n\n{"a":1}', line: 1 };
  assert.equal(difference(http, 'HTTP/1.1 200 OK\r\netag: "x"\r\n\r\n{"a":1}'), undefined);
  assert.ok(difference(http, 'HTTP/1.1 404 Not Found\r\netag: "x"\r\n\r\n{"a":1}') !== undefined);
  assert.ok(difference(http, 'HTTP/1.1 200 OK\r\netag: "x"\r\nvary: accept\r\n\r\n{"a":1}') !== undefined);
  assert.throws(() => examplesOf('```sh\ncurl x\n```\n'), /shows no answer/);
  assert.throws(() => examplesOf('```json\n1\n```\n'), /1 answers are shown for 0 commands/);
});

test('every relative link leads to a file, and every anchor to a heading', () => {
  let links = 0;
  for (const document of documents()) {
    const text = withoutFences(read(document));
    for (const [, target = ''] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      links += 1;
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? document : join(dirname(document), path);
      assert.ok(existsSync(join(root, file)), `${document} links to ${target}, which is not there`);
      if (anchor === undefined) continue;
      const anchors = [...read(file).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => anchorOf(heading));
      assert.ok(anchors.includes(anchor), `${document} links to ${target}, but no heading is called so`);
    }
  }
  assert.ok(links >= 30, `only ${links} links were found`);
});

test('every path of the repository that is named in code quotes is there', () => {
  let paths = 0;
  for (const document of documents()) {
    if (document === 'CHANGELOG.md') continue;
    for (const [, path = ''] of withoutFences(read(document)).matchAll(/`((?:src|test|bench|scripts)\/[\w./-]+)`/g)) {
      paths += 1;
      assert.ok(existsSync(join(root, path)), `${document} names ${path}, which is not there`);
    }
  }
  assert.ok(paths >= 20, `only ${paths} paths were found`);
});

test('every error code is explained in docs/http-api.md, and none that nothing gives', () => {
  const { codes, unseen, files } = errorCodesOf(join(root, 'src'));
  assert.deepEqual(unseen, [], 'codes that this test cannot see');
  assert.ok(files >= 80 && codes.size >= 50, `${codes.size} codes in ${files} files are too few`);
  const errors = read('docs/http-api.md').split(/^## Errors$/m)[1] ?? '';
  const explained = new Set([...errors.matchAll(/`([a-z]+(?:_[a-z]+)*)`/g)].map(([, code]) => code));
  assert.deepEqual([...codes].filter((code) => !explained.has(code)).sort(), []);
  const rows = errors.split('\n').filter((line) => /^\| `/.test(line));
  const inTables = rows.flatMap((row) =>
    [...(row.split('|')[1] ?? '').matchAll(/`([a-z_]+)`/g)].map(([, code]) => code),
  );
  assert.ok(inTables.length >= 50);
  assert.deepEqual(
    inTables.filter((code) => !codes.has(code ?? '')),
    [],
  );
});

test('every configuration that is shown is one', () => {
  const shown = documents().flatMap((path) =>
    fencesOf(read(path)).flatMap((fence) => (fence.language === 'yaml' ? [{ path, ...fence }] : [])),
  );
  assert.ok(shown.length >= 2, `only ${shown.length} were found`);
  const environment = { LAKE_ENDPOINT: 'http://127.0.0.1:9000', PORT: '8081' };
  for (const { path, line, text } of shown) {
    assert.doesNotThrow(() => parseConfig(text, `${path} line ${line}`, environment));
  }
});

test('docs/configuration.md tells the keys that are known from those of later versions', () => {
  const text = read('docs/configuration.md');
  const later = /^Not in this version: ([\s\S]*?)\.$/m.exec(text)?.[1] ?? '';
  const [node = '', table = ''] = later.split('of a table');
  const namesIn = (part: string) => [...part.matchAll(/`([\w.]+)`/g)].map(([, name = '']) => name);
  const paths = [...namesIn(node), ...namesIn(table).map((name) => `tables.t.${name}`)];
  assert.ok(paths.length >= 3, `only ${paths} were found`);
  for (const path of paths) assert.throws(() => parseConfig(asConfig(path), 'x', {}), /not in this version/, path);
  const known = [...text.matchAll(/^\| `([\w.]+)` /gm)].map(([, name = '']) => name.replace('...', 'tables.t.'));
  assert.ok(known.length >= 15, `only ${known} were found`);
  for (const path of known.filter((name) => name !== 'tables.NAME')) {
    // A value of 1 is seldom right; it only must not be the key that is wrong.
    assert.doesNotMatch(faultOf(asConfig(path)), /unknown key|: not in this version$/, path);
  }
});

/** A configuration in which the key has a value, and nothing else is wrong. */
function asConfig(path: string): string {
  const ofTable = /^tables\.t\.(.+)$/.exec(path)?.[1];
  const nested = (names: string) => names.split('.').reduceRight((inner, name) => `{ ${name}: ${inner} }`, '1');
  if (ofTable === undefined) return nested(path);
  const required = ['source', 'key'].filter((name) => name !== ofTable).map((name) => `${name}: a, `);
  return `{ tables: { t: { ${required.join('')}${nested(ofTable).slice(2, -2)} } } }`;
}

function faultOf(config: string): string {
  try {
    parseConfig(config, 'x', {});
    return '';
  } catch (thrown) {
    return (thrown as Error).message;
  }
}

/** Every Markdown file that is part of the documentation. */
function documents(): readonly string[] {
  const below = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' });
  const inDocs = below.filter((file) => file.endsWith('.md')).map((file) => join('docs', file));
  const atRoot = readdirSync(root).filter((file) => file.endsWith('.md'));
  const all = [...atRoot, ...inDocs, join('datasets', 'README.md')];
  assert.ok(all.length >= 15 && all.includes('README.md') && all.includes('ARCHITECTURE.md'), all.join());
  return all;
}

function withoutFences(markdown: string): string {
  return markdown.replace(/^```[\s\S]*?^```$/gm, '');
}

/** As the places that show Markdown make them. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(' ', '-');
}

async function startServer(context: TestContext): Promise<string> {
  makeDataSets();
  const command = [join(root, 'bin/pointlake.js'), 'serve', '--config', 'datasets/pointlake.yaml', '--port', '0'];
  const server = spawn(process.execPath, command, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
  context.after(async () => {
    const exited = once(server, 'exit');
    server.kill('SIGTERM');
    await exited;
  });
  for await (const line of createInterface({ input: server.stdout })) {
    const ready = /ready on (http:\S+)/.exec(line);
    if (ready?.[1] !== undefined) return ready[1];
  }
  throw new Error('the server ended before it was ready');
}
