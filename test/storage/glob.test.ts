/** Globs against a second, slower definition of what they mean. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { matchesGlob, parseGlob } from '../../src/storage/glob.ts';
import { compareKeys } from '../../src/storage/index.ts';

const matches = (pattern: string, key: string) => matchesGlob(parseGlob(pattern), key);

describe('a glob', () => {
  const cases: readonly (readonly [string, readonly string[], readonly string[]])[] = [
    ['a/*.parquet', ['a/x.parquet', 'a/*.parquet'], ['a/b/x.parquet', 'x.parquet', 'a/x.parquet.crc', 'a/.x.parquet']],
    ['a/*', ['a/x', 'a/y'], ['a/_SUCCESS', 'a/.crc', 'a/b/c', 'b/x']],
    ['a/?', ['a/x', 'a/😀', 'a/?'], ['a/', 'a/xy', 'a/_', 'a/.']],
    ['a/**', ['a/x', 'a/b/c', 'a/_p=1/c'], ['b/x', 'a/_temporary/c', 'a/b/_SUCCESS', 'a/.h/c', 'a/b/_p=1']],
    ['a/**/c', ['a/c', 'a/b/c', 'a/b/b/c'], ['a/_b/c', 'c', 'a/bc']],
    ['**/c', ['c', 'a/c', '/a/c'], ['a/d']],
    ['a/dt=*/part-*.parquet', ['a/dt=1/part-0.parquet'], ['a/dt=1/x/part-0.parquet', 'a/dx=1/part-0.parquet']],
    ['a/_*/x', ['a/_tmp/x', 'a/_p=1/x'], ['a/tmp/x']],
    ['a/.*', ['a/.x'], ['a/x']],
    ['**/_*/**/y', ['_p=1/_h/y', '_h/a/y'], ['a/_h/.b/y']],
    ['a**b/x', ['ab/x', 'aXb/x'], ['a/b/x']],
    ['a.c/*', ['a.c/x'], ['abc/x']],
    ['/data/*', ['/data/x'], ['data/x', '//data/x']],
  ];
  for (const [pattern, yes, no] of cases) {
    it(pattern, () => {
      for (const key of yes) assert.ok(matches(pattern, key), `${pattern} takes ${key}`);
      for (const key of no) assert.ok(!matches(pattern, key), `${pattern} does not take ${key}`);
    });
  }

  it('lists from the last slash before its first wildcard', () => {
    assert.equal(parseGlob('a/b/c*.parquet').prefix, 'a/b/');
    assert.equal(parseGlob('*.parquet').prefix, '');
    assert.equal(parseGlob('/a/**').prefix, '/a/');
  });

  it('means what a plain recursive definition says', () => {
    const part = fc
      .array(fc.constantFrom('a', 'b', '_', '.', '=', '*', '?'), { maxLength: 4 })
      .map((all) => all.join(''));
    const pattern = fc
      .array(fc.oneof(part, fc.constant('**')), { minLength: 1, maxLength: 5 })
      .map((all) => all.join('/'));
    const name = fc.array(fc.constantFrom('a', 'b', '_', '.', '='), { maxLength: 4 }).map((all) => all.join(''));
    const key = fc.array(name, { minLength: 1, maxLength: 5 }).map((all) => all.join('/'));
    let taken = 0;
    fc.assert(
      fc.property(pattern, key, (somePattern, someKey) => {
        const expected = plainMatch(somePattern.split('/'), someKey.split('/'));
        if (expected) taken += 1;
        assert.equal(matches(somePattern, someKey), expected);
      }),
      { numRuns: 5000 },
    );
    assert.ok(taken > 50, `${taken} of the pairs match`);
  });

  it('takes no exponential time', () => {
    const started = performance.now();
    assert.ok(!matches(`${'*a'.repeat(30)}b`, 'a'.repeat(1000)));
    assert.ok(!matches(`${'**/a/'.repeat(30)}b`, Array.from({ length: 300 }, () => 'a').join('/')));
    assert.ok(performance.now() - started < 1000);
  });
});

describe('the order of keys', () => {
  it('is the order of their UTF-8 bytes', () => {
    const interesting = fc.array(fc.constantFrom('a', '/', '-', '\ud7ff', '\ue000', '\uffff', '😀', '\u{10ffff}', 'é'));
    const anyKey = fc.oneof(
      fc.string({ unit: 'binary' }),
      interesting.map((all) => all.join('')),
    );
    fc.assert(
      fc.property(anyKey, anyKey, (a, b) => {
        assert.equal(Math.sign(compareKeys(a, b)), Buffer.compare(Buffer.from(a), Buffer.from(b)));
      }),
      { numRuns: 2000 },
    );
  });
});

function plainMatch(pattern: readonly string[], names: readonly string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return names.length === 0;
  const [name, ...others] = names;
  if (first === '**') {
    return plainMatch(rest, names) || (name !== undefined && !hidden(name, others) && plainMatch(pattern, others));
  }
  if (name === undefined) return false;
  if (/^[*?]/.test(first) && hidden(name, others)) return false;
  return plainText(first, name) && plainMatch(rest, others);
}

function plainText(pattern: string, text: string): boolean {
  if (pattern === '') return text === '';
  if (pattern.startsWith('*'))
    return plainText(pattern.slice(1), text) || (text !== '' && plainText(pattern, text.slice(1)));
  return text !== '' && (pattern[0] === '?' || pattern[0] === text[0]) && plainText(pattern.slice(1), text.slice(1));
}

function hidden(name: string, others: readonly string[]): boolean {
  return name.startsWith('.') || (name.startsWith('_') && !(name.includes('=') && others.length > 0));
}
