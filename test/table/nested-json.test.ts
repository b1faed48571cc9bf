/** The assembly of nested values: what the table's type adds to the file's, formats, leaves that disagree, variants. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { decodeFooter, type FileIndex, shapeOf } from '../../src/parquet/index.ts';
import type { JsonOptions } from '../../src/table/index.ts';
import { NestedAssembly } from '../../src/table/nested-json.ts';
import { type NestedType, nestedTypeOf, uniteNested } from '../../src/table/nested-type.ts';
import { VariantMetadata, variantText } from '../../src/table/variant-value.ts';
import { blockAt, blocksOf } from '../support/nested-blocks.ts';
import { type Field, LIST, MAP, nestedFile, PLAIN_LAYOUT, type Raw } from '../support/nested-files.ts';

const NUMBERS: JsonOptions = { int64: 'number', nonfinite: 'null' };
const STRINGS: JsonOptions = { int64: 'string', nonfinite: 'string' };

/** The blocks of the leaves of the first column. */
function columnOf(field: Field, values: readonly Raw[]) {
  const file = nestedFile(
    [field],
    values.map((value) => [value]),
    PLAIN_LAYOUT,
  );
  const { index } = decodeFooter(file, file.length) as { readonly index: FileIndex };
  const shape = shapeOf(index.schema.root.children[0]!);
  const leaves = shape.leaves.map((leaf) => blocksOf(file, index, 0, leaf));
  return { shape, type: nestedTypeOf(shape), leaves };
}

function textsOf(field: Field, values: readonly Raw[], json = NUMBERS, tableType?: NestedType): string[] {
  const { shape, type, leaves } = columnOf(field, values);
  const assembly = new NestedAssembly(shape, tableType ?? type, json);
  return values.map((_, row) =>
    assembly.json(
      leaves.map((blocks) => blockAt(blocks, row)),
      row,
    ),
  );
}

const int32 = (name: string, repetition: Field['repetition']): Field => ({ name, repetition, type: 'INT32' });

describe('an assembly', () => {
  test('writes numbers in the format asked for', () => {
    const field: Field = {
      name: 's',
      repetition: 'required',
      children: [
        { name: 'i', repetition: 'required', type: 'INT64' },
        { name: 'd', repetition: 'repeated', type: 'DOUBLE' },
      ],
    };
    const values = [[2n ** 62n, [Number.NaN, -0, Number.NEGATIVE_INFINITY]]];
    assert.deepEqual(textsOf(field, values), ['{"i":4611686018427387904,"d":[null,-0,null]}']);
    assert.deepEqual(textsOf(field, values, STRINGS), ['{"i":"4611686018427387904","d":["NaN",-0,"-Infinity"]}']);
  });

  test('keeps the last of several entries with one key, and every key that prints as null', () => {
    const entry = (type: 'INT32' | 'DOUBLE'): Field => ({
      name: 'm',
      repetition: 'required',
      converted: MAP,
      children: [
        {
          name: 'key_value',
          repetition: 'repeated',
          children: [{ name: 'key', repetition: 'required', type }, int32('value', 'optional')],
        },
      ],
    });
    const repeated = [
      [
        [
          [1, 10],
          [2, null],
          [1, 11],
        ],
      ],
    ];
    assert.deepEqual(textsOf(entry('INT32'), repeated), ['[{"key":1,"value":11},{"key":2,"value":null}]']);
    const nonfinite = [
      [
        [
          [Number.NaN, 1],
          [Number.POSITIVE_INFINITY, 2],
        ],
      ],
    ];
    assert.deepEqual(textsOf(entry('DOUBLE'), nonfinite), ['[{"key":null,"value":1},{"key":null,"value":2}]']);
  });

  test('a field whose name a struct has twice is shown once and read all the same', () => {
    const field: Field = {
      name: 's',
      repetition: 'repeated',
      children: [int32('a', 'required'), int32('a', 'repeated'), int32('b', 'optional')],
    };
    const values = [
      [
        [1, [7, 8], 2],
        [3, [], null],
      ],
      [],
    ];
    assert.deepEqual(textsOf(field, values), ['[{"a":1,"b":2},{"a":3,"b":null}]', '[]']);
  });

  test('a field that only another file has is null, inside lists too', () => {
    const list = (...children: readonly Field[]): Field => ({
      name: 'l',
      repetition: 'optional',
      converted: LIST,
      children: [{ name: 'array', repetition: 'repeated', children }],
    });
    const one = columnOf(list(int32('a', 'required')), [null]);
    const other = columnOf(list(int32('b', 'required'), int32('c', 'repeated')), [null]);
    const type = uniteNested(one.type, other.type);
    assert.ok(type);
    assert.deepEqual(textsOf(list(int32('a', 'required')), [[[[1], [2]]], null, [[]]], NUMBERS, type), [
      '[{"a":1,"b":null,"c":null},{"a":2,"b":null,"c":null}]',
      'null',
      '[]',
    ]);
  });
});

describe('leaves that disagree are corrupt', () => {
  const pair: Field = {
    name: 's',
    repetition: 'optional',
    children: [{ name: 'e', repetition: 'repeated', children: [int32('a', 'required'), int32('b', 'optional')] }],
  };
  /** The first leaf of one record beside the second leaf of another. */
  const mixed = (one: Raw, other: Raw): string => {
    const [left, right] = [columnOf(pair, [one]), columnOf(pair, [other])];
    const assembly = new NestedAssembly(left.shape, left.type, NUMBERS);
    return assembly.json([blockAt(left.leaves[0]!, 0), blockAt(right.leaves[1]!, 0)], 0);
  };
  const two: Raw = [
    [
      [1, 2],
      [3, null],
    ],
  ];
  const records: readonly (readonly [string, Raw])[] = [
    ['one element', [[[1, 2]]]],
    ['two elements', two],
    [
      'three elements',
      [
        [
          [1, 2],
          [3, 4],
          [5, 6],
        ],
      ],
    ],
    ['none', [[]]],
    ['null', null],
  ];
  test('alike they are read', () => {
    assert.equal(mixed(two, two), '{"e":[{"a":1,"b":2},{"a":3,"b":null}]}');
  });
  for (const [what, one] of records) {
    for (const [otherwise, other] of records) {
      if (what === otherwise) continue;
      test(`${what} beside ${otherwise}`, () => {
        assert.throws(() => mixed(one, other), { kind: 'corrupt', message: /levels of column s\.e\.[ab]/ });
      });
    }
  }
});

describe('a variant', () => {
  const names = new VariantMetadata(Uint8Array.from([0x01, 2, 0, 1, 3, ...Buffer.from('abc')]));
  const text = (bytes: readonly number[], json = NUMBERS) => variantText(Uint8Array.from(bytes), names, json);
  const int = (bytes: number, value: bigint): number[] =>
    Array.from({ length: bytes }, (_, i) => Number((BigInt.asUintN(128, value) >> BigInt(8 * i)) & 0xffn));
  const scalar = (type: number, ...bytes: readonly number[]) => [type << 2, ...bytes];
  const float = (value: number, bytes: 4 | 8) => {
    const buffer = Buffer.alloc(bytes);
    if (bytes === 4) buffer.writeFloatLE(value);
    else buffer.writeDoubleLE(value);
    return [...buffer];
  };

  const scalars: readonly (readonly [string, readonly number[], string])[] = [
    ['null', scalar(0), 'null'],
    ['true', scalar(1), 'true'],
    ['false', scalar(2), 'false'],
    ['int8', scalar(3, 0xff), '-1'],
    ['int16', scalar(4, ...int(2, -300n)), '-300'],
    ['int32', scalar(5, ...int(4, 70_000n)), '70000'],
    ['int64', scalar(6, ...int(8, 2n ** 60n)), '1152921504606846976'],
    ['double', scalar(7, ...float(0.1, 8)), '0.1'],
    ['double NaN', scalar(7, ...float(Number.NaN, 8)), 'null'],
    ['decimal4', scalar(8, 2, ...int(4, -12345n)), '"-123.45"'],
    ['decimal8', scalar(9, 0, ...int(8, 10n ** 15n)), '"1000000000000000"'],
    ['decimal16', scalar(10, 3, ...int(16, -(10n ** 30n))), '"-1000000000000000000000000000.000"'],
    ['date', scalar(11, ...int(4, 20_484n)), '"2026-01-31"'],
    ['timestamp', scalar(12, ...int(8, 1_500_001n)), '"1970-01-01T00:00:01.500001Z"'],
    ['timestamp without zone', scalar(13, ...int(8, -1n)), '"1969-12-31T23:59:59.999999"'],
    ['float', scalar(14, ...float(0.1, 4)), '0.1'],
    ['binary', scalar(15, ...int(4, 2n), 0, 0xff), '"AP8="'],
    ['string', scalar(16, ...int(4, 2n), ...Buffer.from('é')), '"é"'],
    ['time', scalar(17, ...int(8, 3_600_000_001n)), '"01:00:00.000001"'],
    ['timestamp ns', scalar(18, ...int(8, 1n)), '"1970-01-01T00:00:00.000000001Z"'],
    ['timestamp ns without zone', scalar(19, ...int(8, 1n)), '"1970-01-01T00:00:00.000000001"'],
    ['uuid', scalar(20, ...Array.from({ length: 16 }, (_, i) => i)), '"00010203-0405-0607-0809-0a0b0c0d0e0f"'],
    ['short string', [(2 << 2) | 1, ...Buffer.from('"x')], '"\\"x"'],
    ['array', [3, 2, 0, 1, 2, ...scalar(1), ...scalar(0)], '[true,null]'],
    ['large array', [3 | (4 << 2), ...int(4, 1n), 0, 1, ...scalar(2)], '[false]'],
    ['object', [2, 2, 0, 1, 1, 0, 2, ...scalar(1), ...scalar(2)], '{"a":false,"bc":true}'],
    ['empty object', [2, 0, 0], '{}'],
  ];
  for (const [what, bytes, expected] of scalars) {
    test(`${what} is ${expected}`, () => {
      assert.equal(text(bytes), expected);
      for (let end = 0; end < bytes.length; end += 1) {
        assert.throws(() => text(bytes.slice(0, end)), { kind: 'corrupt' }, `cut off after ${end} bytes`);
      }
    });
  }

  test('takes the format of numbers', () => {
    assert.equal(text(scalar(6, ...int(8, 5n)), STRINGS), '"5"');
    assert.equal(text(scalar(7, ...float(Number.POSITIVE_INFINITY, 8)), STRINGS), '"Infinity"');
  });

  test('refuses what it does not know, and what cannot be', () => {
    assert.throws(() => text(scalar(21)), { kind: 'unsupported' });
    assert.throws(() => text([2, 1, 2, 0, 1, 0]), { kind: 'corrupt', message: /name 2 of 2/ });
    assert.throws(() => text(scalar(8, 200, 0, 0, 0, 0)), { kind: 'corrupt', message: /scale 200/ });
    assert.throws(() => new VariantMetadata(Uint8Array.of(2, 0, 0)), { kind: 'corrupt', message: /version 2/ });
    assert.throws(() => new VariantMetadata(Uint8Array.of(1, 200, 0)), { kind: 'corrupt' });
  });

  test('overlapping parts do not unfold', () => {
    // Every element of each level is the one level below it: 2^40 leaves, were they all read.
    let bytes: number[] = scalar(1);
    for (let level = 0; level < 40; level += 1) bytes = [3, 2, 0, 0, bytes.length, ...bytes];
    assert.throws(() => text(bytes.map((byte) => byte & 0xff)), { kind: 'corrupt' });
  });

  test('depth is bounded', () => {
    let bytes: number[] = scalar(0);
    for (let level = 0; level < 1000; level += 1) {
      bytes = [3 | (3 << 2), 1, ...int(4, 0n), ...int(4, BigInt(bytes.length)), ...bytes];
    }
    assert.throws(() => text(bytes), { kind: 'unsupported', message: /200 deep/ });
  });
});
