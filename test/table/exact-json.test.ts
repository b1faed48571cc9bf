import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ServiceError } from '../../src/core/index.ts';
import { ExactNumber, parseExactJson } from '../../src/table/exact-json.ts';

/** The text of what was parsed, with exact numbers as their source. */
function write(value: unknown): string {
  if (value instanceof ExactNumber) return value.source;
  if (Array.isArray(value)) return `[${value.map(write).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    return `{${Object.entries(value)
      .map(([name, member]) => `${JSON.stringify(name)}:${write(member)}`)
      .join(',')}}`;
  }
  return JSON.stringify(value);
}

const numberText = fc.oneof(
  fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }).map(String),
  fc.integer().map(String),
  fc.constantFrom(
    '-0',
    '0',
    '1.0',
    '1.50',
    '1e3',
    '1E+3',
    '0.1',
    '-0.0',
    '1e400',
    '123456789012345',
    '1234567890123456',
  ),
);
const stringText = fc.string({ unit: 'grapheme' }).map((text) => JSON.stringify(text));
// Names without escapes: the JSON.parse of Node 26.10 itself confuses `"` and `\\` as whole member names once it has seen
// both, with and without a reviver. No field of ours has such a name.
const jsonText: fc.Arbitrary<string> = fc.letrec<{ node: string }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 4 },
    numberText,
    stringText,
    fc.constantFrom('true', 'false', 'null'),
    fc.array(tie('node')).map((items) => `[${items.join(',')}]`),
    fc
      .uniqueArray(fc.tuple(fc.stringMatching(/^[a-z_]{1,5}$/), tie('node')), { selector: ([name]) => name })
      .map((members) => `{${members.map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(',')}}`),
  ),
})).node;

test('every number keeps its text, and nothing else changes', () => {
  fc.assert(
    fc.property(jsonText, (text) => assert.equal(write(parseExactJson(text)), text)),
    { numRuns: 2000 },
  );
});

test('without exact numbers the answer is JSON.parse', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify(value);
      assert.equal(write(parseExactJson(text)), text);
    }),
  );
});

test('digits inside strings are left alone, and those after them still count', () => {
  const text = '["1.0","\\"9007199254740993\\\\",9007199254740993]';
  assert.deepEqual(parseExactJson(text), ['1.0', '"9007199254740993\\', new ExactNumber('9007199254740993')]);
});

function faultOf(text: string): ServiceError {
  try {
    parseExactJson(text);
  } catch (error) {
    assert.ok(error instanceof ServiceError);
    assert.equal(error.kind, 'invalid');
    assert.equal(error.code, 'bad_json');
    return error;
  }
  throw new Error(`${text} was accepted`);
}

test('the position of each fault', () => {
  const faults: readonly (readonly [string, number])[] = [
    ['', 0],
    ['   ', 3],
    ['{', 1],
    ['{"keys":[1,2,}', 13],
    ['{"keys":[1,2,]}', 13],
    ['{"keys" [1]}', 8],
    ['{keys:[1]}', 1],
    ['[1 2]', 3],
    ['[1]]', 3],
    ['[1}', 2],
    ['{"a":1]', 6],
    ['[01]', 2],
    ['[+5]', 1],
    ['[1.]', 2],
    ['[.5]', 1],
    ['[NaN]', 1],
    ["['a']", 1],
    ['["a\\x"]', 3],
    ['["a\nb"]', 3],
    ['["abc', 5],
    ['{"a":"b" "c"}', 9],
    ['{"a","b"}', 4],
    ['{1:2}', 1],
    ['nul', 0],
    ['truefalse', 4],
    ['[1],', 3],
  ];
  for (const [text, position] of faults) {
    assert.equal(faultOf(text).context.position, position, text);
  }
  const second = faultOf('{\n  "keys": [1,,2]\n}');
  assert.equal(second.context.line, 2);
  assert.match(second.message, /line 2, column 14/);
});

test('what JSON.parse refuses is refused with a position inside the text, and no other fault', () => {
  fc.assert(
    fc.property(
      jsonText,
      fc.nat(),
      fc.constantFrom('', ',', '"', '}', '\u0000', '\\', '9', 'e'),
      (text, at, insert) => {
        const position = at % (text.length + 1);
        const broken = text.slice(0, position) + insert + text.slice(position + 1);
        let accepted = true;
        try {
          JSON.parse(broken);
        } catch {
          accepted = false;
        }
        if (accepted) return void parseExactJson(broken);
        const found = Number(faultOf(broken).context.position);
        assert.ok(found >= 0 && found <= broken.length);
        if (found === broken.length) return;
        // The text before the fault is a beginning of some JSON, so the fault is not at a place that was still fine.
        assert.ok(faultOf(broken.slice(0, found + 1)).context.position === found || broken.length === found + 1);
      },
    ),
    { numRuns: 3000 },
  );
});

test('depth is bounded before anything recurses', () => {
  assert.doesNotThrow(() => parseExactJson(`${'['.repeat(64)}1.0${']'.repeat(64)}`));
  assert.equal(faultOf(`${'['.repeat(65)}${']'.repeat(65)}`).context.position, 64);
  assert.equal(faultOf('['.repeat(5_000_000)).context.position, 64);
  assert.doesNotThrow(() => parseExactJson(`"${'['.repeat(1000)}"`));
});

test('a member called __proto__ is a member', () => {
  const parsed = parseExactJson('{"__proto__":{"keys":[1.0]}}') as object;
  assert.deepEqual(Object.keys(parsed), ['__proto__']);
  assert.equal('keys' in parsed, false);
});
