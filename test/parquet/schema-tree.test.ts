import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import type { LogicalType, SchemaGroup, SchemaNode } from '../../src/parquet/schema.ts';
import { decodeSchema } from '../../src/parquet/schema-tree.ts';
import { ThriftReader } from '../../src/parquet/thrift.ts';
import { TYPE } from './support/footer-writer.ts';
import { openIndex, readCorpus } from './support/metadata-files.ts';
import { ThriftWriter } from './support/thrift-writer.ts';

interface Element {
  readonly name?: string;
  readonly type?: number;
  readonly typeLength?: number;
  readonly repetition?: number;
  readonly children?: number;
  readonly convertedType?: number;
  readonly scale?: number;
  readonly precision?: number;
  readonly logicalType?: (writer: ThriftWriter) => void;
}

function schemaOf(elements: readonly Element[]) {
  const writer = new ThriftWriter();
  writer.structElement(() => {
    writer.list(1, 12, elements, (element) => {
      writer.structElement(() => {
        if (element.type !== undefined) writer.int32(1, element.type);
        if (element.typeLength !== undefined) writer.int32(2, element.typeLength);
        if (element.repetition !== undefined) writer.int32(3, element.repetition);
        if (element.name !== undefined) writer.binary(4, element.name);
        if (element.children !== undefined) writer.int32(5, element.children);
        if (element.convertedType !== undefined) writer.int32(6, element.convertedType);
        if (element.scale !== undefined) writer.int32(7, element.scale);
        if (element.precision !== undefined) writer.int32(8, element.precision);
        if (element.logicalType !== undefined) writer.struct(10, () => element.logicalType?.(writer));
      });
    });
  });
  return decodeSchema(new ThriftReader(writer.take(), 1));
}

const root = (children: number): Element => ({ name: 'schema', children });

/** The logical type of one column of this kind. */
function logicalTypeOf(element: Element): LogicalType {
  return schemaOf([root(1), { name: 'c', repetition: 1, ...element }]).leaves[0]!.logicalType;
}

describe('decodeSchema', () => {
  test('levels, paths and ordinals of a nested schema', () => {
    const { root: tree, leaves } = schemaOf([
      root(3),
      { name: 'id', type: TYPE.INT64, repetition: 0 },
      { name: 'tags', repetition: 1, children: 1, convertedType: 3 },
      { name: 'list', repetition: 2, children: 1 },
      { name: 'element', type: TYPE.BYTE_ARRAY, repetition: 1, convertedType: 0 },
      { name: 'place', repetition: 0, children: 1 },
      { name: 'lat', type: TYPE.DOUBLE, repetition: 1 },
    ]);
    assert.deepEqual(
      leaves.map((leaf) => [leaf.ordinal, leaf.name, leaf.maxDefinitionLevel, leaf.maxRepetitionLevel]),
      [
        [0, 'id', 0, 0],
        [1, 'tags.list.element', 3, 1],
        [2, 'place.lat', 1, 0],
      ],
    );
    assert.deepEqual(leaves[1]?.path, ['tags', 'list', 'element']);
    assert.deepEqual(
      tree.children.map((child) => [child.name, child.kind === 'group' ? child.annotation : child.kind]),
      [
        ['id', 'leaf'],
        ['tags', 'LIST'],
        ['place', 'NONE'],
      ],
    );
  });

  test('MAP_KEY_VALUE marks a map, but not the repeated group inside one', () => {
    const { root: tree } = schemaOf([
      root(1),
      { name: 'm', repetition: 1, children: 1, convertedType: 2 },
      { name: 'map', repetition: 2, children: 1, convertedType: 2 },
      { name: 'key', type: TYPE.INT32, repetition: 0 },
    ]);
    const map = tree.children[0] as SchemaGroup;
    const annotationOf = (node: SchemaNode | undefined) => (node?.kind === 'group' ? node.annotation : undefined);
    assert.deepEqual([annotationOf(map), annotationOf(map.children[0])], ['MAP', 'NONE']);
  });

  test('both generations of annotation come to one form', () => {
    const timestamp = (unit: number, utc: boolean) => (writer: ThriftWriter) => {
      writer.struct(8, () => writer.boolean(1, utc).struct(2, () => writer.struct(unit, () => {})));
    };
    const integer = (bits: number, isSigned: boolean, wide: boolean) => (writer: ThriftWriter) => {
      writer.struct(10, () => (wide ? writer.int32(1, bits) : writer.byte(1, bits)).boolean(2, isSigned));
    };
    const int64 = { type: TYPE.INT64 };
    const int32 = { type: TYPE.INT32 };
    assert.deepEqual(logicalTypeOf({ ...int64, convertedType: 9 }), {
      kind: 'TIMESTAMP',
      unit: 'MILLIS',
      isAdjustedToUTC: true,
    });
    assert.deepEqual(logicalTypeOf({ ...int64, convertedType: 10, logicalType: timestamp(3, false) }), {
      kind: 'TIMESTAMP',
      unit: 'NANOS',
      isAdjustedToUTC: false,
    });
    const uint8 = { kind: 'INTEGER', bitWidth: 8, isSigned: false };
    assert.deepEqual(logicalTypeOf({ ...int32, convertedType: 11 }), uint8);
    assert.deepEqual(logicalTypeOf({ ...int32, logicalType: integer(8, false, false) }), uint8);
    assert.deepEqual(logicalTypeOf({ ...int32, logicalType: integer(8, false, true) }), uint8);
    const decimal = { kind: 'DECIMAL', precision: 9, scale: 2 };
    assert.deepEqual(logicalTypeOf({ ...int32, convertedType: 5, precision: 9, scale: 2 }), decimal);
    const logicalType = (writer: ThriftWriter) => writer.struct(5, () => writer.int32(1, 2).int32(2, 9));
    assert.deepEqual(logicalTypeOf({ ...int32, logicalType }), decimal);
  });

  test('an unknown annotation falls back to the older one, else it is said to be unknown', () => {
    const later = (writer: ThriftWriter) => writer.struct(50, () => writer.int32(1, 5));
    assert.deepEqual(logicalTypeOf({ type: TYPE.BYTE_ARRAY, logicalType: later }), { kind: 'UNRECOGNISED' });
    assert.deepEqual(logicalTypeOf({ type: TYPE.BYTE_ARRAY, logicalType: later, convertedType: 0 }), {
      kind: 'STRING',
    });
    assert.deepEqual(logicalTypeOf({ type: TYPE.BYTE_ARRAY, convertedType: 77 }), { kind: 'UNRECOGNISED' });
    const file = openIndex(readCorpus('data/unknown-logical-type.parquet'));
    assert.deepEqual(
      file.schema.leaves.map((leaf) => leaf.logicalType.kind),
      ['STRING', 'UNRECOGNISED'],
    );
    assert.equal(file.chunkBounds(0, 1)?.min, undefined);
  });

  test('an annotation that its physical type cannot carry is not applied', () => {
    const wrong: readonly Element[] = [
      { type: TYPE.INT32, convertedType: 0 },
      { type: TYPE.INT32, convertedType: 9 },
      { type: TYPE.INT32, convertedType: 14 },
      { type: TYPE.DOUBLE, convertedType: 5, precision: 5, scale: 2 },
      { type: TYPE.INT32, convertedType: 5, precision: 5, scale: 6 },
      { type: TYPE.INT32, convertedType: 5, precision: 5, scale: -1 },
      { type: TYPE.BYTE_ARRAY, convertedType: 5, precision: 2 ** 31 - 1, scale: 2 ** 31 - 1 },
      { type: TYPE.FIXED, typeLength: 15, logicalType: (writer) => writer.struct(14, () => {}) },
      { type: TYPE.INT32, convertedType: 3 },
    ];
    for (const element of wrong) assert.deepEqual(logicalTypeOf(element), { kind: 'UNRECOGNISED' });
  });

  const leaf: Element = { name: 'c', type: TYPE.INT32, repetition: 0 };
  for (const [name, elements, message] of [
    ['no elements', [], /empty/],
    ['a column as root', [leaf], /root/],
    ['a nameless element', [root(1), { type: TYPE.INT32, repetition: 0 }], /no name/],
    ['an unknown type', [root(1), { ...leaf, type: 8 }], /unknown type 8/],
    ['a negative type', [root(1), { ...leaf, type: -7 }], /unknown type -7/],
    ['no repetition', [root(1), { name: 'c', type: TYPE.INT32 }], /neither required/],
    ['an unknown repetition', [root(1), { ...leaf, repetition: 4 }], /repetition 4/],
    ['too few children', [root(2), leaf], /more children/],
    ['too many elements', [root(1), leaf, leaf], /belong to no group/],
    ['negative children', [root(1), { name: 'g', repetition: 0, children: -1 }], /-1 children/],
    ['a type and children', [root(1), { ...leaf, children: 1 }, leaf], /type and children/],
    ['a fixed length of none', [root(1), { ...leaf, type: TYPE.FIXED }], /length/],
    ['a fixed length of 0', [root(1), { ...leaf, type: TYPE.FIXED, typeLength: 0 }], /length 0/],
    ['a huge number of children', [root(2 ** 31 - 1), leaf], /more children/],
  ] as const) {
    test(`refuses ${name}`, () => assert.throws(() => schemaOf(elements), { kind: 'corrupt', message }));
  }

  test('refuses what it cannot read or bound, as unsupported', () => {
    const vector = [root(1), { ...leaf, repetition: 3 }];
    assert.throws(() => schemaOf(vector), { kind: 'unsupported', message: /VECTOR/ });
    const deep = [root(1), ...Array.from({ length: 200 }, () => ({ name: 'g', repetition: 0, children: 1 })), leaf];
    assert.throws(() => schemaOf(deep), { kind: 'unsupported', message: /deep/ });
    const long = 'n'.repeat(100_000);
    const wide = [root(1), { name: long, repetition: 0, children: 1000 }, ...Array.from({ length: 1000 }, () => leaf)];
    assert.throws(() => schemaOf(wide), { kind: 'unsupported', message: /too long/ });
  });
});
