/** Which test files belong to which suite: suites on a real S3 server are named `*.rgw.test.ts` and run apart. */

import { filesOnDisk } from './gate.ts';

export type Suite = 'local' | 's3';

export function testFiles(root: string, suite: Suite): string[] {
  const all = filesOnDisk(root, ['test'], /\.test\.ts$/);
  return all.filter((file) => file.endsWith('.rgw.test.ts') === (suite === 's3'));
}
