/**
 * A reporter for `node --test` that writes one line of JSON a file: how many tests ran, passed, failed and were
 * skipped. `node --test` passes in an empty folder and counts a file without any test as one passed test, named after
 * the file; the runner tells by this list.
 */

import { relative } from 'node:path';
import type { TestEvent } from 'node:test/reporters';

export interface RanFile {
  readonly file: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export default async function* ranTests(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const files = new Map<string, { passed: number; failed: number; skipped: number }>();
  for await (const event of source) {
    if (event.type !== 'test:pass' && event.type !== 'test:fail') continue;
    const { file, name, skip, todo, details } = event.data;
    if (file === undefined || details.type === 'suite' || isFileItself(file, name)) continue;
    const counts = files.get(file) ?? { passed: 0, failed: 0, skipped: 0 };
    if (event.type === 'test:fail') counts.failed += 1;
    else if (skip !== undefined || todo !== undefined) counts.skipped += 1;
    else counts.passed += 1;
    files.set(file, counts);
  }
  for (const [file, counts] of files) yield `${JSON.stringify({ file, ...counts } satisfies RanFile)}\n`;
}

function isFileItself(file: string, name: string): boolean {
  return name === file || name === relative(process.cwd(), file);
}
