/**
 * The version of a local file: device, inode, size and mtime in nanoseconds.
 *
 * A file renamed into place has another inode, one written in place another mtime or size. What this cannot see is a
 * file overwritten twice with the same size within one tick of the kernel's clock (a few milliseconds on Linux), or
 * one whose mtime was set back by hand: writers that need certainty rename into place.
 */

import type { BigIntStats } from 'node:fs';
import { notAFile } from './file-errors.ts';
import type { ObjectMeta } from './object-store.ts';

/** Quoted, so that it reads as a strong ETag wherever one is shown. Throws for what is not a regular file. */
export function versionOf(stats: BigIntStats, path: string): string {
  if (!stats.isFile()) throw notAFile(path, stats.isDirectory());
  const parts = [stats.dev, stats.ino, stats.size, stats.mtimeNs];
  return `"${parts.map((part) => part.toString(16)).join('-')}"`;
}

export function fileMeta(stats: BigIntStats, path: string): ObjectMeta {
  return { key: path, sizeBytes: Number(stats.size), eTag: versionOf(stats, path) };
}
