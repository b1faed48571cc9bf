/** Which type holds the values of two, and what a table makes of files that disagree. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ServiceError } from '../../src/core/index.ts';
import type { FileSchema, LeafColumn, Repetition, SchemaNode } from '../../src/parquet/index.ts';
import { type ColumnType, parseColumnType, typeText } from '../../src/table/column-type.ts';
import { type TableSchema, typeName, uniteSchemas } from '../../src/table/schema.ts';
import { widerType } from '../../src/table/widening.ts';
import { property } from '../parquet/support/property.ts';

function type(name: string): ColumnType {
  const parsed = parseColumnType(name) ?? OTHER_TYPES[name];
  assert.ok(parsed !== undefined, name);
  return parsed;
}

/** Types that no name in the configuration stands for. */
const OTHER_TYPES: Readonly<Record<string, ColumnType>> = {
  'annotated int32': {
    physicalType: 'INT32',
    typeLength: 0,
    logicalType: { kind: 'INTEGER', bitWidth: 32, isSigned: true },
  },
  'decimal(5,2) in 4 bytes': {
    physicalType: 'FIXED_LEN_BYTE_ARRAY',
    typeLength: 4,
    logicalType: { kind: 'DECIMAL', precision: 5, scale: 2 },
  },
  'decimal(9,2) in 8 bytes': {
    physicalType: 'FIXED_LEN_BYTE_ARRAY',
    typeLength: 8,
    logicalType: { kind: 'DECIMAL', precision: 9, scale: 2 },
  },
  'binary of 4 bytes': { physicalType: 'FIXED_LEN_BYTE_ARRAY', typeLength: 4, logicalType: { kind: 'NONE' } },
  'string of 4 bytes': { physicalType: 'FIXED_LEN_BYTE_ARRAY', typeLength: 4, logicalType: { kind: 'STRING' } },
  float16: { physicalType: 'FIXED_LEN_BYTE_ARRAY', typeLength: 2, logicalType: { kind: 'FLOAT16' } },
  int96: { physicalType: 'INT96', typeLength: 0, logicalType: { kind: 'NONE' } },
  unknown: { physicalType: 'INT32', typeLength: 0, logicalType: { kind: 'UNKNOWN' } },
  json: { physicalType: 'BYTE_ARRAY', typeLength: 0, logicalType: { kind: 'JSON' } },
  'unrecognised int64': { physicalType: 'INT64', typeLength: 0, logicalType: { kind: 'UNRECOGNISED' } },
};

const WIDER: readonly (readonly [string, string, string])[] = [
  ['int32', 'int64', 'INT64'],
  ['int8', 'int16', 'INT32 INT(16)'],
  ['int32', 'annotated int32', 'INT32'],
  ['uint8', 'int8', 'INT32 INT(16)'],
  ['uint16', 'int8', 'INT32'],
  ['uint32', 'int32', 'INT64'],
  ['uint32', 'uint64', 'INT64 UINT(64)'],
  ['float', 'double', 'DOUBLE'],
  ['float16', 'float', 'FLOAT'],
  ['float16', 'double', 'DOUBLE'],
  ['decimal(4,2)', 'decimal(9,2)', 'INT32 DECIMAL(9,2)'],
  ['decimal(4,2)', 'decimal(18,2)', 'INT64 DECIMAL(18,2)'],
  ['decimal(4,2)', 'decimal(38,2)', 'BYTE_ARRAY DECIMAL(38,2)'],
  ['decimal(5,2) in 4 bytes', 'decimal(9,2) in 8 bytes', 'FIXED_LEN_BYTE_ARRAY(8) DECIMAL(9,2)'],
  ['decimal(5,2) in 4 bytes', 'decimal(18,2)', 'BYTE_ARRAY DECIMAL(18,2)'],
  ['timestamp(ms)', 'timestamp(us)', 'INT64 TIMESTAMP(MICROS)'],
  ['timestamp(ms,utc)', 'timestamp(ns,utc)', 'INT64 TIMESTAMP(NANOS,UTC)'],
  ['time(ms)', 'time(us)', 'INT64 TIME(MICROS)'],
  ['date', 'date', 'INT32 DATE'],
  ['string', 'string of 4 bytes', 'BYTE_ARRAY STRING'],
  ['binary', 'binary of 4 bytes', 'BYTE_ARRAY'],
  ['unrecognised int64', 'unrecognised int64', 'INT64 UNRECOGNISED'],
];

const CLASHES: readonly (readonly [string, string])[] = [
  ['int64', 'uint64'],
  ['int8', 'uint64'],
  ['int32', 'double'],
  ['int64', 'decimal(18,0)'],
  ['decimal(9,2)', 'decimal(9,3)'],
  ['timestamp(us)', 'timestamp(us,utc)'],
  ['time(us)', 'time(us,utc)'],
  ['date', 'timestamp(us)'],
  ['date', 'int32'],
  ['time(ms)', 'timestamp(ms)'],
  ['string', 'binary'],
  ['string', 'json'],
  ['string', 'int64'],
  ['boolean', 'int32'],
  ['int96', 'timestamp(ns)'],
  ['uuid', 'string'],
  ['unrecognised int64', 'int64'],
];

test('the type that holds both', () => {
  for (const [a, b, expected] of WIDER) {
    for (const [one, other] of [
      [a, b],
      [b, a],
    ] as const) {
      const wider = widerType(type(one), type(other));
      assert.equal(wider && typeText(wider), expected, `${one} and ${other}`);
    }
  }
});

test('what clashes', () => {
  for (const [a, b] of CLASHES) {
    for (const [one, other] of [
      [a, b],
      [b, a],
    ] as const) {
      assert.equal(widerType(type(one), type(other)), undefined, `${one} and ${other}`);
      assert.throws(() => uniteSchemas([file('f', { c: one }), file('g', { c: other })]), isConflict);
    }
  }
});

const JOINED = [...WIDER.map(([a]) => a), ...WIDER.map(([, b]) => b)];
const ALL_TYPES = [...new Set([...JOINED, ...CLASHES.flat(), 'unknown'])];

test('the order of the files decides neither the type nor whether there is one', () => {
  const outcome = (names: readonly string[]) => {
    try {
      const [column] = uniteSchemas(names.map((name, i) => file(`f${i}`, { c: name }))).columns;
      return column && typeName(column);
    } catch (error) {
      assert.ok(isConflict(error));
      return 'conflict';
    }
  };
  const lists = fc.array(fc.constantFrom(...ALL_TYPES), { minLength: 2, maxLength: 5 });
  property(
    lists.chain((names) => fc.tuple(fc.constant(names), fc.shuffledSubarray(names, { minLength: names.length }))),
    ([names, shuffled]) => {
      // Two types of one text, such as an annotated and a plain INT32, may leave either text.
      const plain = (text: string | undefined) => text?.replace('INT32 INT(32)', 'INT32');
      assert.equal(plain(outcome(names)), plain(outcome(shuffled)), names.join());
    },
    2000,
  );
});

function leaf(name: string, of: ColumnType, ordinal: number, repetition: Repetition): SchemaNode {
  const column: LeafColumn = {
    ordinal,
    path: [name],
    name,
    ...of,
    maxDefinitionLevel: repetition === 'REQUIRED' ? 0 : 1,
    maxRepetitionLevel: 0,
  };
  return { kind: 'leaf', name, repetition, fieldId: undefined, leaf: column };
}

function file(name: string, columns: Readonly<Record<string, string>>, repetition: Repetition = 'OPTIONAL') {
  const children = Object.entries(columns).map(([column, of], i) => leaf(column, type(of), i, repetition));
  return { name, schema: schemaOf(children) };
}

function schemaOf(children: readonly SchemaNode[]): FileSchema {
  const leaves = children.flatMap((node) => (node.kind === 'leaf' ? [node.leaf] : []));
  const root = {
    kind: 'group',
    name: 'schema',
    repetition: 'REQUIRED',
    fieldId: undefined,
    annotation: 'NONE',
    children,
  } as const;
  return { root, leaves };
}

function isConflict(error: unknown): boolean {
  const { code, kind } = error as ServiceError;
  return code === 'schema_conflict' && kind === 'unavailable';
}

const shown = (schema: TableSchema) => schema.columns.map((column) => `${column.name} ${typeName(column)}`);
const nullable = (schema: TableSchema) => schema.columns.map((column) => (column.leaf?.maxDefinitionLevel ?? 0) > 0);

test('columns come in the order they are first seen', () => {
  const schema = uniteSchemas([file('f', { a: 'int32', b: 'string' }), file('g', { c: 'date', a: 'int64' })]);
  assert.deepEqual(shown(schema), ['a INT64', 'b BYTE_ARRAY STRING', 'c INT32 DATE']);
});

test('a column may be null where any file says so or lacks it, and that is no clash', () => {
  const required = file('f', { a: 'int32', b: 'int32', c: 'int32' }, 'REQUIRED');
  const optional = file('g', { b: 'int32' }, 'OPTIONAL');
  assert.deepEqual(nullable(uniteSchemas([required])), [false, false, false]);
  assert.deepEqual(nullable(uniteSchemas([required, file('g', { a: 'int32', b: 'int32' }, 'REQUIRED')])), [
    false,
    false,
    true,
  ]);
  assert.deepEqual(nullable(uniteSchemas([required, optional])), [true, true, true]);
});

test('a clash names the column, the types and a file of each, also behind files that agree', () => {
  const files = [
    file('f', { c: 'uint32' }),
    file('g', { c: 'int8' }),
    file('h', { c: 'int8' }),
    file('i', { c: 'uint64' }),
  ];
  assert.throws(
    () => uniteSchemas(files),
    (error: ServiceError) => {
      assert.match(error.message, /column "c" is INT32 INT\(8\) in g but INT64 UINT\(64\) in i/);
      assert.deepEqual(error.context, { column: 'c', types: ['INT32 INT(8)', 'INT64 UINT(64)'], files: ['g', 'i'] });
      return isConflict(error);
    },
  );
});

test('a column of nothing but nulls agrees with every other', () => {
  const unknown = (name: string) => ({
    name,
    schema: schemaOf([
      leaf('c', { physicalType: 'INT32', typeLength: 0, logicalType: { kind: 'UNKNOWN' } }, 0, 'OPTIONAL'),
    ]),
  });
  for (const other of ['string', 'timestamp(us)', 'uuid', 'int32']) {
    const expected = [`c ${typeText(type(other))}`];
    assert.deepEqual(shown(uniteSchemas([unknown('f'), file('g', { c: other })])), expected);
    assert.deepEqual(shown(uniteSchemas([file('f', { c: other }), unknown('g')])), expected);
    assert.deepEqual(shown(uniteSchemas([unknown('f'), unknown('g'), file('h', { c: other })])), expected);
  }
  assert.deepEqual(shown(uniteSchemas([unknown('f'), unknown('g')])), ['c INT32 UNKNOWN']);
  const conflict = () => uniteSchemas([unknown('f'), file('g', { c: 'string' }), file('h', { c: 'date' })]);
  assert.throws(conflict, (error: ServiceError) => /in g but .* in h/.test(error.message));
});

test('older names stand for the column: its own name first, then in the order declared', () => {
  const declared = [{ name: 'id', type: undefined, from: ['uid', 'user'] }];
  const schema = uniteSchemas(
    [file('f', { user: 'int8', uid: 'int32', id: 'int64' }), file('g', { user: 'int16' })],
    declared,
  );
  assert.deepEqual(shown(schema), ['id INT64'], 'what id is called elsewhere is no column of its own');
  const older = uniteSchemas([file('f', { user: 'string', uid: 'int32' })], declared);
  assert.deepEqual(shown(older), ['id INT32'], 'the first of the older names counts');
});

test('a declared type is the type whatever the files have, and a column even before a file has it', () => {
  const declared = [
    { name: 'id', type: type('int64'), from: [] },
    { name: 'later', type: type('date'), from: [] },
    { name: 'unheard', type: undefined, from: ['of'] },
  ];
  const schema = uniteSchemas([file('f', { id: 'string' }), file('g', { id: 'int8' })], declared);
  assert.deepEqual(shown(schema), ['id INT64', 'later INT32 DATE']);
  assert.throws(
    () => uniteSchemas([file('f', { id: 'date' })], declared),
    (error: ServiceError) => {
      assert.deepEqual(error.context, { column: 'id', types: ['INT64', 'INT32 DATE'], files: ['f'] });
      return isConflict(error);
    },
  );
});

test('types by name', () => {
  const names: readonly (readonly [string, string])[] = [
    ['int8', 'INT32 INT(8)'],
    ['UINT64', 'INT64 UINT(64)'],
    ['decimal(38, 10)', 'BYTE_ARRAY DECIMAL(38,10)'],
    ['timestamp(us, utc)', 'INT64 TIMESTAMP(MICROS,UTC)'],
    ['time(ms)', 'INT32 TIME(MILLIS)'],
    ['uuid', 'FIXED_LEN_BYTE_ARRAY(16) UUID'],
  ];
  for (const [name, expected] of names) assert.equal(typeText(type(name)), expected);
  const wrong = [
    '',
    'int',
    'int24',
    'varchar',
    'decimal',
    'decimal(0,0)',
    'decimal(2,3)',
    'timestamp',
    'timestamp(s)',
    'date(ms)',
    '__proto__',
    'constructor',
    'int64[]',
    'timestamp(us,local)',
  ];
  for (const name of wrong) assert.equal(parseColumnType(name), undefined, name);
});
