/** Each gate passes on a good tree with the right count, fails on a bad one, and fails where there is nothing to see. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { bannedNamesGate } from '../../scripts/gates/banned-names.ts';
import { deadCodeGate } from '../../scripts/gates/dead-code.ts';
import type { Gate } from '../../scripts/gates/gate.ts';
import { importsGate } from '../../scripts/gates/imports.ts';
import { lintGate } from '../../scripts/gates/lint.ts';
import { typesGate } from '../../scripts/gates/types.ts';
import { scratchProject } from './scratch-project.ts';

const settings = {
  'tsconfig.json': `{
  "compilerOptions": {
    "strict": true,
    "module": "nodenext",
    "allowImportingTsExtensions": true,
    "noEmit": true,
    "types": []
  },
  "include": ["src"]
}
`,
  'package.json': '{\n  "name": "scratch",\n  "type": "module"\n}\n',
  'knip.json': '{ "entry": ["src/main.ts"], "project": ["src/**/*.ts"] }\n',
};
const goodSources = {
  'src/core/index.ts': "export { one } from './one.ts';\n",
  'src/core/one.ts': 'export const one = 1;\n',
  'src/storage/index.ts': "import { one } from '../core/index.ts';\n\nexport const two = one + one;\n",
  'src/main.ts': "import { two } from './storage/index.ts';\n\nexport default two;\n",
};

function run(context: TestContext, gate: Gate, changes: Readonly<Record<string, string>> = {}) {
  return gate.run(scratchProject(context, { ...settings, ...goodSources, ...changes }));
}

const looked: readonly [Gate, RegExp][] = [
  [lintGate, /^7 files$/],
  [typesGate, /^4 files$/],
  [importsGate, /^4 modules, 3 dependencies$/],
  [bannedNamesGate, /^4 files, \d+ names$/],
  [deadCodeGate, /^4 files$/],
];

for (const [gate, count] of looked) {
  test(`${gate.name}: a good tree passes and is counted`, (context) => {
    const result = run(context, gate);
    assert.deepEqual(result.problems, []);
    assert.match(result.looked, count);
  });

  test(`${gate.name}: nothing to look at is a failure`, (context) => {
    assert.notDeepEqual(gate.run(scratchProject(context, settings)).problems, []);
  });
}

/** One wrong file each, and what the gate must say of it. */
const wrong: readonly [Gate, string, Readonly<Record<string, string>>, RegExp][] = [
  [lintGate, 'a file in another format', { 'src/core/one.ts': 'export const one = "1"\n' }, /src\/core\/one\.ts/],
  [lintGate, 'console', { 'src/core/one.ts': "console.log('x');\n\nexport const one = 1;\n" }, /noConsole/],
  [lintGate, 'any', { 'src/core/one.ts': 'export const one: any = 1;\n' }, /noExplicitAny/],
  [lintGate, 'an enum', { 'src/core/one.ts': 'export enum one {}\n' }, /noEnum/],
  [typesGate, 'a wrong type', { 'src/core/one.ts': "export const one: number = '1';\n" }, /one\.ts.*TS2322/],
  [
    typesGate,
    'a file outside of the program',
    { 'bench/two.ts': 'export const two = 2;\n' },
    /did not look at bench\/two/,
  ],
  [
    importsGate,
    'an import against the direction',
    { 'src/core/one.ts': "import { two } from '../storage/index.ts';\n\nexport const one = two;\n" },
    /core-imports-nothing: src\/core\/one\.ts/,
  ],
  [
    importsGate,
    'a type import against the direction',
    { 'src/core/two.ts': "import type { two } from '../storage/index.ts';\n\nexport type Two = typeof two;\n" },
    /core-imports-nothing: src\/core\/two\.ts/,
  ],
  [
    importsGate,
    'an import past the index of a room',
    { 'src/storage/index.ts': "import { one } from '../core/one.ts';\n\nexport const two = one;\n" },
    /only-through-the-index-of-a-room: src\/storage\/index\.ts/,
  ],
  [
    importsGate,
    'an import past the index in the composition root',
    { 'src/main.ts': "import { one } from './core/one.ts';\n\nexport default one;\n" },
    /composition-root-only-through-the-index-of-a-room/,
  ],
  [
    importsGate,
    'a cycle',
    {
      'src/core/one.ts': "import { two } from './two.ts';\n\nexport const one = () => two;\n",
      'src/core/two.ts': "import { one } from './one.ts';\n\nexport const two = () => one;\n",
    },
    /no-cycles: src\/core\/(one|two)\.ts/,
  ],
  [
    importsGate,
    'a source that imports a test',
    { 'test/x.ts': 'export const x = 1;\n', 'src/core/one.ts': "export { x as one } from '../../test/x.ts';\n" },
    /sources-import-nothing-outside-src/,
  ],
  [
    importsGate,
    'a test that opens a room which is not its own',
    { 'test/storage/x.test.ts': "import { one } from '../../src/core/one.ts';\n\nexport const x = one;\n" },
    /test-opens-only-its-own-room/,
  ],
  [
    importsGate,
    'input and output in a room that does none',
    { 'src/core/one.ts': "import { readFileSync } from 'node:fs';\n\nexport const one = readFileSync;\n" },
    /parquet-and-core-do-no-io/,
  ],
  [
    importsGate,
    'a room without any rule',
    { 'src/misc/index.ts': "import { one } from '../core/index.ts';\n\nexport const three = one;\n" },
    /every-room-has-its-rule: src\/misc\/index\.ts/,
  ],
  [importsGate, 'a missing file', { 'src/core/two.ts': "export { x } from './gone.ts';\n" }, /everything-resolves/],
  [deadCodeGate, 'an unused file', { 'src/core/two.ts': 'export const two = 2;\n' }, /src\/core\/two\.ts/],
  [deadCodeGate, 'an unused export', { 'src/core/one.ts': 'export const one = 1;\nexport const two = 2;\n' }, /two/],
];

for (const [gate, name, changes, problem] of wrong) {
  test(`${gate.name}: ${name} is a failure`, (context) => {
    const { problems } = run(context, gate, changes);
    assert.ok(
      problems.some((line) => problem.test(line)),
      `expected ${problem} in:\n${problems.join('\n')}`,
    );
  });
}

const banned: readonly [string, string][] = [
  ['export const one = Date.now();', 'Date.now'],
  ['export const one = new Date();', 'new Date()'],
  ['export const one = Math.random;', 'Math.random'],
  ['console.error(1);', 'console'],
  ['setTimeout(() => {}, 1);', 'setTimeout'],
  ['const later = setInterval; later(() => {}, 1);', 'setInterval'],
  ["import { setTimeout as sleep } from 'node:timers/promises'; await sleep(1);", 'node:timers/promises'],
];

for (const [source, name] of banned) {
  test(`banned names: ${name} is named with its line and what to use instead`, (context) => {
    const { problems } = run(context, bannedNamesGate, { 'src/core/one.ts': `\n${source}\n` });
    assert.equal(problems.length, 1, problems.join('\n'));
    assert.ok(problems[0]?.startsWith(`src/core/one.ts:2 uses ${name}: use `));
  });
}

test('banned names: comments, strings, other properties and given dates do not count, and the clock may', (context) => {
  const harmless = [
    '// console.log(Date.now())',
    "export const text = 'Math.random()';",
    'export const timer = { setTimeout: 1 };',
    'export const at = new Date(0);',
    'export const one = timer.setTimeout;',
  ];
  const { problems } = run(context, bannedNamesGate, {
    'src/core/one.ts': `${harmless.join('\n')}\n`,
    'src/core/clock.ts': 'export const now = Date.now;\n',
  });
  assert.deepEqual(problems, []);
});
