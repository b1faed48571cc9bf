import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const MIB = 2 ** 20;

test('memory is taken as it is needed, and stays near what was given', () => {
  const script = fileURLToPath(new URL('./memory-grower.ts', import.meta.url));
  const printed = execFileSync(process.execPath, [script], { encoding: 'utf8' });
  const { before, atStart, full, entries } = JSON.parse(printed);
  assert.ok(atStart - before < 16 * MIB, `an empty tier takes ${(atStart - before) / MIB} MiB`);
  assert.ok(entries > 7000, `${entries} blocks are resident`);
  assert.ok(full - before > 200 * MIB, 'a full one takes what it was given');
  assert.ok(full - before < 256 * MIB + 64 * MIB, `a full tier of 256 MiB takes ${(full - before) / MIB} MiB`);
});
