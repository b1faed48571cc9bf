/**
 * Every conformance file that can be read, every column of it that can be a key: a lookup of each distinct value gives
 * exactly the rows that a full read has it in, and values beside them are not found; cold, from memory, and with a cache
 * that keeps nothing.
 *
 * Columns of more than 2,000 distinct values are sampled, and but for a long run the columns of files of thousands of pages,
 * and those that are indexed; FUZZ_SEED replays the choice.
 */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FUZZ_SEED } from '../parquet/support/property.ts';
import { apart } from '../support/apart.ts';
import { sampled } from '../support/sampled.ts';
import { hasCorpus, NO_CORPUS } from './support/corpus.ts';
import { lookUpAll } from './support/lookups.ts';

const LIMITS = { keysMax: 2000, absentMax: 200, seed: FUZZ_SEED };
const LOOKUPS = new URL('./support/lookups.ts', import.meta.url);

const SHARES = { plain: 1, manyPages: sampled(5, 1) };
/** Where the search itself is what is tested, more columns are; an index is one more way to the same rows. */
const INDEXED_SHARES = { plain: sampled(4, 1), manyPages: sampled(20, 1) };

const skip = hasCorpus() || process.env.CI === 'true' ? false : NO_CORPUS;

describe('lookups in the conformance files', () => {
  test('every value of the searchable columns is found in its rows, and nothing else is', { skip }, async (context) => {
    const counts = await apart(LOOKUPS, lookUpAll, LIMITS, SHARES);
    context.diagnostic(`seed ${FUZZ_SEED}: ${JSON.stringify(counts)}`);
    assert.ok(counts.files > 70 && counts.columns > sampled(235, 250), JSON.stringify(counts));
    assert.ok(counts.keys > 20_000 && counts.absent > 20_000, JSON.stringify(counts));
    assert.ok(counts.hot > (counts.keys + counts.absent) * 0.9, `${counts.hot} from memory`);
  });

  test('so it is by an index of the keys', { skip }, async (context) => {
    const limits = { ...LIMITS, keysMax: 40, absentMax: 20, index: 'hash' } as const;
    const counts = await apart(LOOKUPS, lookUpAll, limits, INDEXED_SHARES);
    context.diagnostic(`seed ${FUZZ_SEED}: ${JSON.stringify(counts)}`);
    assert.ok(counts.columns > 235 / INDEXED_SHARES.plain - 1 && counts.keys > 250, JSON.stringify(counts));
    // The rest has no row with a key in it, or the file has no row at all.
    assert.ok(counts.indexed > counts.columns * 0.9, `${counts.indexed} columns indexed`);
  });
});
