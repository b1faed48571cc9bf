/** A reporter for knip that prints how many files it processed, so that the gate can tell a clean run from a blind one. */

import type { ReporterOptions } from 'knip';

export default function knipCounts(options: ReporterOptions): void {
  console.log(`knip processed ${options.counters.processed} files`);
}
