/**
 * Every conformance file that can be read, every column of it that can be a key: a lookup of each distinct value gives
 * exactly the rows that a full read has it in, and values beside them are not found; cold, from memory, and with a cache
 * that keeps nothing.
 *
 * Columns of more than 2,000 distinct values are sampled; FUZZ_SEED replays the choice.
 */

import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { FUZZ_SEED } from '../parquet/support/property.ts';
import { corpusEntries, hasCorpus, isParquet, NO_CORPUS, pathOf } from './support/corpus.ts';
import { checkColumn, LookupCounts, type LookupLimits, searchableColumns } from './support/lookups.ts';
import { refusalOf } from './support/rules.ts';

const LIMITS = { keysMax: 2000, absentMax: 200, seed: FUZZ_SEED };

/** Where the search itself is what is tested, all columns are; an index is one more way to the same rows. */
const INDEXED_SHARE = 4;

const skip = hasCorpus() || process.env.CI === 'true' ? false : NO_CORPUS;

describe('lookups in the conformance files', () => {
  test('every value of every searchable column is found in its rows, and nothing else is', {
    skip,
  }, async (context) => {
    const counts = await lookUpAll(LIMITS, context);
    assert.ok(counts.columns > 250 && counts.keys > 30_000 && counts.absent > 30_000, JSON.stringify(counts));
    assert.ok(counts.hot > (counts.keys + counts.absent) * 0.9, `${counts.hot} from memory`);
  });

  test('so it is by an index of the keys', { skip }, async (context) => {
    const limits = { ...LIMITS, keysMax: 40, absentMax: 20, index: 'hash' } as const;
    const counts = await lookUpAll(limits, context, INDEXED_SHARE);
    assert.ok(counts.columns > 50 && counts.keys > 500, JSON.stringify(counts));
    // The rest has no row with a key in it, or the file has no row at all.
    assert.ok(counts.indexed > counts.columns * 0.9, `${counts.indexed} columns indexed`);
  });
});

/** Of every so many columns one, another one with each seed. */
async function lookUpAll(limits: LookupLimits, context: TestContext, share = 1): Promise<LookupCounts> {
  assert.ok(hasCorpus(), NO_CORPUS);
  const counts = new LookupCounts();
  let files = 0;
  let columns = FUZZ_SEED;
  for (const name of corpusEntries()) {
    if (!isParquet(name) || refusalOf(name) !== undefined) continue;
    files += 1;
    const path = pathOf(name);
    for (const column of await searchableColumns(path)) {
      columns += 1;
      if (columns % share === 0) await checkColumn(path, column, limits, counts);
    }
  }
  context.diagnostic(`seed ${FUZZ_SEED}: ${files} files, ${JSON.stringify(counts)}`);
  return counts;
}
