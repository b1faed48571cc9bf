/**
 * A process that writes blocks to a disk tier as fast as it can until it is killed, and says so by a dot for every ten; and
 * what those blocks hold.
 */

import { type BlockIdentity, DiskCache, fileIdentity } from '../../src/cache/index.ts';
import { systemClock } from '../../src/core/index.ts';

const FILE = fileIdentity('file', '/data/t.parquet', '"1"', 1);
export const SIZE_BYTES = 4 * 2 ** 20;
export const PAGES = 600;

export function identityOf(page: number): BlockIdentity {
  return { file: FILE, rowGroup: 0, column: 0, page, ordinal: 0, shift: 31 };
}

/** Of three sizes, so that slabs move between them. */
export function payloadOf(page: number): Uint8Array {
  const bytes = [3000, 30_000, 14_000][page % 3] ?? 0;
  return Uint8Array.from({ length: bytes }, (_, i) => page * 31 + i * 7 + (i >> 8));
}

export function openCache(path: string): DiskCache {
  const log = (line: string) => process.stderr.write(`${line}\n`);
  const cache = DiskCache.open({ path, sizeBytes: SIZE_BYTES, clock: systemClock, log });
  if (cache === undefined) throw new Error('there is no disk cache');
  return cache;
}

if (import.meta.main) {
  const [path = '', start = '0'] = process.argv.slice(2);
  const cache = openCache(path);
  // Who counts the dots stops reading them before it kills this process, which is not to end by itself.
  process.stdout.on('error', () => undefined);
  for (let page = Number(start); ; page++) {
    cache.blocks.offer(identityOf(page % PAGES), payloadOf(page % PAGES), true);
    if (page % 10 === 0) {
      await cache.blocks.idle();
      process.stdout.write('.');
    }
    if (page % 20 === 0) void cache.files.write(`file-${page % PAGES}`, payloadOf(page % PAGES));
  }
}
