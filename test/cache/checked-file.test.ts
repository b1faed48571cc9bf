import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { crc32 } from 'node:zlib';

import { readCheckedFile } from '../../src/cache/checked-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'pointlake-checked-'));
after(() => rmSync(folder, { recursive: true }));

const STRIDE = 256 * 1024;
const HEADER = 16;

test('bytes and checksum are those of the file, wherever the strides end', () => {
  const path = join(folder, 'file');
  for (const size of [0, 1, HEADER - 1, HEADER, HEADER + 1, STRIDE - 1, STRIDE, STRIDE + 1, 3 * STRIDE + HEADER]) {
    const content = Buffer.from(Uint8Array.from({ length: size }, (_, i) => (i * 31) ^ (i >>> 8)));
    writeFileSync(path, content);
    const { bytes, checksum } = readCheckedFile(path, HEADER, 1 << 20);
    assert.ok(bytes.equals(content), `${size} bytes`);
    assert.equal(checksum, crc32(content.subarray(HEADER)), `${size} bytes`);
    assert.equal(bytes.byteOffset % 8, 0);
  }
});

test('what is summed may start beyond the first stride', () => {
  const path = join(folder, 'late');
  const content = Buffer.alloc(2 * STRIDE, 'late');
  writeFileSync(path, content);
  assert.equal(readCheckedFile(path, STRIDE + 5, 1 << 20).checksum, crc32(content.subarray(STRIDE + 5)));
});

test('a file that is larger than any of ours is not read, one that is missing is an error', () => {
  const path = join(folder, 'large');
  writeFileSync(path, Buffer.alloc(101));
  assert.throws(() => readCheckedFile(path, HEADER, 100), RangeError);
  assert.throws(() => readCheckedFile(join(folder, 'missing'), HEADER, 100), { code: 'ENOENT' });
});
