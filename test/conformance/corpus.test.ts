/**
 * The format's own conformance files through the product's own path: opened as a table, scanned to JSON, and compared
 * value by value with every other reader at hand. The folders are listed, so that no file is left out in silence.
 */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { corpusEntries, hasCorpus, isParquet, measure, NO_CORPUS, type Outcome, pathOf } from './support/corpus.ts';
import { conformanceDocument, DOCUMENT, measureAll } from './support/document.ts';
import { DISAGREEMENTS, OTHER_ENTRIES, READABLE_BAD, refusalOf } from './support/rules.ts';

/** A checkout may lie elsewhere, CI has the files. */
const skip = hasCorpus() || process.env.CI === 'true' ? false : NO_CORPUS;

describe('the conformance files', () => {
  let outcomes: ReadonlyMap<string, Outcome> = new Map();

  before(async () => {
    if (skip !== false) return;
    assert.ok(hasCorpus(), NO_CORPUS);
    outcomes = await measureAll();
  });

  test('every entry of the folders is accounted for', { skip }, () => {
    const entries = corpusEntries();
    assert.ok(entries.length >= 110, `${entries.length} entries`);
    const unknown = entries.filter((name) => !isParquet(name) && OTHER_ENTRIES[name] === undefined);
    assert.deepEqual(unknown, [], 'entries that no rule names');
    const named = [...Object.keys(OTHER_ENTRIES), ...Object.keys(DISAGREEMENTS), ...Object.keys(READABLE_BAD)];
    assert.deepEqual(
      named.filter((name) => !entries.includes(name)),
      [],
      'rules for entries that are not there',
    );
  });

  test('what is refused is what the rules say, with a typed error that says why', { skip }, (context) => {
    let refused = 0;
    for (const [name, outcome] of outcomes) {
      const rule = refusalOf(name);
      if (outcome.kind === 'read') {
        assert.equal(rule, undefined, `${name} was read, though ${rule?.why}`);
        assert.ok(name.startsWith('data/') || READABLE_BAD[name] !== undefined, `${name} was read`);
        continue;
      }
      refused += 1;
      assert.equal(outcome.error, rule?.error, `${name}: ${outcome.message}`);
      assert.match(outcome.message, rule?.message ?? /^$/, name);
    }
    context.diagnostic(`${refused} of ${outcomes.size} files refused`);
    assert.ok(refused >= 20);
  });

  test('what is read is what another reader reads, in every value', { skip }, (context) => {
    const counts = { files: 0, rows: 0, values: 0, comparisons: 0 };
    for (const [name, outcome] of outcomes) {
      if (outcome.kind === 'refused') continue;
      const rules = DISAGREEMENTS[name] ?? {};
      let same = 0;
      for (const [oracle, agreement] of outcome.agreements) {
        const agrees = agreement.kind === 'same' || agreement.kind === 'flat';
        const detail = agreement.kind === 'differs' ? agreement.example : JSON.stringify(agreement);
        if (rules[oracle] === undefined) assert.ok(agrees, `${name} by ${oracle}: ${detail}`);
        else assert.ok(!agrees, `${name} by ${oracle} is the same by now: remove the rule`);
        if (agreement.kind === 'same') same += 1;
      }
      assert.ok(same > 0, `${name} is read as no other reader reads it whole`);
      counts.files += 1;
      counts.rows += outcome.rows;
      counts.values += outcome.rows * outcome.columns;
      counts.comparisons += same;
    }
    context.diagnostic(
      `${counts.files} files, ${counts.rows} rows, ${counts.values} values of top-level columns, ${counts.comparisons} whole files the same`,
    );
    assert.ok(counts.files >= 70 && counts.values > 300_000, JSON.stringify(counts));
  });

  test('without the check, pages with a wrong CRC read as other readers read them', { skip }, async () => {
    const wrong = [...outcomes].filter(([name]) => name.includes('corrupt-checksum')).map(([name]) => name);
    assert.equal(wrong.length, 2);
    for (const name of wrong) {
      const outcome = await measure(pathOf(name), { verifyCrc: false });
      assert.ok(outcome.kind === 'read' && outcome.rows > 0, name);
      const kinds = [...outcome.agreements.values()].map((agreement) => agreement.kind);
      assert.deepEqual(kinds, ['same', 'same', 'same'], name);
    }
  });

  test('docs/conformance.md is up to date', { skip }, () => {
    const written = readFileSync(DOCUMENT, 'utf8');
    assert.equal(written, conformanceDocument(outcomes), 'write it anew: node scripts/conformance.ts');
  });
});
