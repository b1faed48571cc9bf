/** A decode thread that dies on its first tasks, as many as the file named in the environment says, then works. */

import { readFileSync, writeFileSync } from 'node:fs';
import decode from '../../src/shard/decode-worker.ts';

export default function dyingDecode(task: Parameters<typeof decode>[0]): unknown {
  const path = process.env.DEATHS_FILE ?? '';
  const deaths = Number(readFileSync(path, 'utf8'));
  if (deaths === 0) return decode(task);
  writeFileSync(path, String(deaths - 1));
  process.exit(1);
}
