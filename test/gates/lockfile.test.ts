import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { projectRoot } from '../../scripts/gates/gate.ts';
import { completeLockfile, type Lockfile, lockfileProblems, platformOf } from '../../scripts/gates/lockfile.ts';

const lockfile = JSON.parse(readFileSync(join(projectRoot, 'package-lock.json'), 'utf8')) as Lockfile;

test('our lockfile is complete, names no address, and pins exact versions', () => {
  assert.ok(Object.keys(lockfile.packages).length > 100);
  assert.deepEqual(lockfileProblems(lockfile), []);
});

test('our lockfile and package.json name the same versions', () => {
  const { dependencies, devDependencies } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8'));
  assert.deepEqual(lockfile.packages['']?.dependencies, dependencies);
  assert.deepEqual(lockfile.packages['']?.devDependencies, devDependencies);
});

test('a missing package of another platform is found and added with its platform', () => {
  const incomplete: Lockfile = {
    packages: {
      '': { devDependencies: { tool: '1.0.0' } },
      'node_modules/tool': {
        version: '1.0.0',
        dev: true,
        optionalDependencies: { '@tool/cli-darwin-arm64': '1.0.0', '@tool/cli-linux-x64-musl': '1.0.0' },
      },
    },
  };
  assert.equal(lockfileProblems(incomplete).length, 2);
  const completed = completeLockfile(incomplete);
  assert.deepEqual(lockfileProblems(completed), []);
  assert.deepEqual(completed.packages['node_modules/@tool/cli-linux-x64-musl'], {
    version: '1.0.0',
    dev: true,
    optional: true,
    cpu: ['x64'],
    libc: ['musl'],
    os: ['linux'],
  });
});

test('an address and a range are problems', () => {
  const loose: Lockfile = {
    packages: {
      '': { dependencies: { tool: '^1.0.0' } },
      'node_modules/tool': { version: '1.0.0', resolved: 'https://registry.example/tool.tgz' },
    },
  };
  assert.deepEqual(lockfileProblems(loose), [
    'node_modules/tool names an address: https://registry.example/tool.tgz',
    'tool is not exact: ^1.0.0',
  ]);
});

test('the platform is read from the name', () => {
  assert.deepEqual(platformOf('@oxc-parser/binding-linux-arm-gnueabihf'), {
    cpu: ['arm'],
    libc: ['glibc'],
    os: ['linux'],
  });
  assert.deepEqual(platformOf('@oxc-parser/binding-win32-ia32-msvc'), { cpu: ['ia32'], os: ['win32'] });
  assert.deepEqual(platformOf('@biomejs/cli-linux-arm64'), { cpu: ['arm64'], libc: ['glibc'], os: ['linux'] });
  assert.throws(() => platformOf('@tool/plain'), /expected one system and one processor/);
});
