/** Writes `docs/conformance.md` from a run over the format's conformance files, which must lie beside the checkout. */

import { writeFileSync } from 'node:fs';
import { hasCorpus, NO_CORPUS } from '../test/conformance/support/corpus.ts';
import { conformanceDocument, DOCUMENT, measureAll } from '../test/conformance/support/document.ts';

if (hasCorpus()) {
  const outcomes = await measureAll();
  writeFileSync(DOCUMENT, conformanceDocument(outcomes));
  console.log(`${outcomes.size} files: docs/conformance.md`);
} else {
  process.stderr.write(`conformance: ${NO_CORPUS}\n`);
  process.exitCode = 1;
}
