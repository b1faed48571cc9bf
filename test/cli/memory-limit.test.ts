/** What a container allows is read from its cgroups, of either version and however deep; the default leaves room beside the cache. */

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { BESIDE_CACHE_BYTES, defaultCacheBytes, memoryLimitBytes, memoryWarning } from '../../src/cli/memory-limit.ts';
import { scratchFolder } from '../support/scratch.ts';

const GIB = 2 ** 30;
const MACHINE = 64 * GIB;
/** What version 1 says where nothing is limited. */
const UNLIMITED_V1 = '9223372036854771712\n';

function limitOf(context: TestContext, files: Readonly<Record<string, string>>): number {
  const root = scratchFolder(context);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return memoryLimitBytes(root, MACHINE);
}

test('without cgroups, or without a limit in them, the machine is the limit', (context) => {
  assert.equal(limitOf(context, {}), MACHINE);
  const v2 = { 'proc/self/cgroup': '0::/a\n', 'sys/fs/cgroup/a/memory.max': 'max\n' };
  assert.equal(limitOf(context, { ...v2, 'sys/fs/cgroup/a/memory.high': 'max\n' }), MACHINE);
  const v1 = { 'proc/self/cgroup': '4:memory:/a\n', 'sys/fs/cgroup/memory/a/memory.limit_in_bytes': UNLIMITED_V1 };
  assert.equal(limitOf(context, v1), MACHINE);
  assert.equal(limitOf(context, { ...v2, 'sys/fs/cgroup/a/memory.max': `${2 * MACHINE}\n` }), MACHINE);
});

test('version 2: the lowest limit of the group and of those above it, hard or soft', (context) => {
  const self = { 'proc/self/cgroup': '0::/pods.slice/pod:1/server\n' };
  const top = 'sys/fs/cgroup/pods.slice';
  const inPod = { ...self, [`${top}/pod:1/server/memory.max`]: 'max\n', [`${top}/pod:1/memory.max`]: `${2 * GIB}\n` };
  assert.equal(limitOf(context, inPod), 2 * GIB);
  assert.equal(limitOf(context, { ...inPod, [`${top}/memory.max`]: `${GIB}\n` }), GIB);
  assert.equal(limitOf(context, { ...inPod, [`${top}/pod:1/server/memory.high`]: `${GIB / 2}\n` }), GIB / 2);
});

test('version 1: its own hierarchy counts, not that of other controllers', (context) => {
  const self = { 'proc/self/cgroup': '9:cpu,cpuacct:/elsewhere\n4:memory:/docker/abc/inner\n0::/\n' };
  const top = 'sys/fs/cgroup/memory/docker/abc';
  const files = {
    ...self,
    [`${top}/inner/memory.limit_in_bytes`]: UNLIMITED_V1,
    [`${top}/memory.limit_in_bytes`]: `${3 * GIB}\n`,
    'sys/fs/cgroup/memory/elsewhere/memory.limit_in_bytes': `${GIB}\n`,
  };
  assert.equal(limitOf(context, files), 3 * GIB);
});

test('a container that sees its own group as the root is limited by what it sees', (context) => {
  const v1 = { 'proc/self/cgroup': '4:memory:/docker/abc\n' };
  assert.equal(limitOf(context, { ...v1, 'sys/fs/cgroup/memory/memory.limit_in_bytes': `${GIB}\n` }), GIB);
  const v2 = { 'proc/self/cgroup': '0::/../../abc\n', 'sys/fs/cgroup/memory.max': `${GIB}\n` };
  assert.equal(limitOf(context, v2), GIB);
});

test('by default the cache has half, or what is left beside the rest of the process', () => {
  assert.equal(defaultCacheBytes(64 * GIB), 32 * GIB);
  assert.equal(defaultCacheBytes(2 * GIB), GIB);
  for (let mib = 64; mib <= 65_536; mib = Math.ceil(mib * 1.1)) {
    const limit = mib * 2 ** 20;
    const cache = defaultCacheBytes(limit);
    assert.ok(Number.isInteger(cache) && cache >= 16 * 2 ** 20 && cache <= limit / 2, `${mib} MiB: ${cache}`);
    const isRoom = limit >= BESIDE_CACHE_BYTES * 1.3;
    if (isRoom) assert.ok(cache + BESIDE_CACHE_BYTES <= 0.9 * limit, `${mib} MiB: ${cache}`);
    if (isRoom) assert.equal(memoryWarning(cache, limit), undefined);
  }
});

test('a cache that does not fit beside the rest is warned of, with what would fit', () => {
  assert.equal(memoryWarning(GIB, 2 * GIB), undefined);
  assert.match(
    memoryWarning(1.9 * GIB, 2 * GIB) ?? '',
    /^warning: cache\.memory is 1945MiB, .* 2048MiB: .* would be 1024MiB$/,
  );
  const little = 400 * 2 ** 20;
  assert.match(memoryWarning(defaultCacheBytes(little), little) ?? '', /; give it more memory$/);
});
