/**
 * Nested columns as other readers give them, brought to one form, so that they can be held against our JSON: 64-bit
 * integers as strings, maps as objects whatever their keys, bytes as base64, what is not finite as a string.
 */

import { DuckDBInstance } from '@duckdb/node-api';
import { parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import type { PointlakeNode } from '../../src/main.ts';
import { scan } from '../../src/shard/index.ts';
import { type JsonOptions, NESTED, type Snapshot, type TableColumn } from '../../src/table/index.ts';
import { noDeadline } from './one-node.ts';

export type NestedType = NonNullable<TableColumn['nested']>;
export type Row = Readonly<Record<string, unknown>>;

/** Every value survives `JSON.parse` in this form. */
export const EXACT_JSON: JsonOptions = { int64: 'string', nonfinite: 'string' };

/** Rows as a scan reads them, parsed: the named columns, or all that can be read. */
export async function scannedRows(
  node: PointlakeNode,
  snapshot: Snapshot,
  names = snapshot.columns.filter((column) => column.unsupported === undefined).map((column) => column.name),
): Promise<Row[]> {
  const projection = snapshot.projection(names, EXACT_JSON);
  const rows: Row[] = [];
  for await (const stretch of scan(node.loader, snapshot, projection.columns, noDeadline)) {
    const writers = projection.writersFor(stretch.file.mapping);
    for (let row = stretch.start; row < stretch.end; row += 1) {
      const entries = projection.columns.map((column, i): [string, unknown] => {
        const at = stretch.blocks[i];
        const leaves = stretch.nested[i];
        if (leaves !== undefined) {
          const assembly = projection.nested[i]?.assemblyFor(stretch.file.mapping);
          if (assembly === undefined || stretch.file.leafPositions[column.ordinal] !== NESTED) {
            throw new Error(`${column.name} has leaves but no assembly`);
          }
          return [column.name, JSON.parse(assembly.json(leaves, row))];
        }
        return [column.name, at === undefined ? null : JSON.parse(writers[i]!(at.block, row - at.firstRow))];
      });
      rows.push(Object.fromEntries(entries));
    }
  }
  return rows;
}

/** One for all: making one takes longer than most questions. */
let duckdb: Promise<DuckDBInstance> | undefined;

export async function duckdbRows(sql: string): Promise<Row[]> {
  duckdb ??= DuckDBInstance.create();
  const connection = await (await duckdb).connect();
  try {
    return (await connection.runAndReadAll(sql)).getRowObjectsJson() as Row[];
  } finally {
    connection.closeSync();
  }
}

export async function hyparquetRows(file: Uint8Array, columns: readonly string[]): Promise<Row[]> {
  const buffer = file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength) as ArrayBuffer;
  return (await parquetReadObjects({ file: buffer, compressors, utf8: false, columns: [...columns] })) as Row[];
}

/** A value of ours or of another reader in the one form; `type` is the table's. */
export function normal(type: NestedType, value: unknown): unknown {
  if (value === null || value === undefined) return null;
  switch (type.kind) {
    case 'value':
      return scalar(type.leaf.logicalType.kind, type.leaf.physicalType, value);
    case 'list':
      if (!Array.isArray(value)) return value;
      return value.map((element) => normal(type.element, element));
    case 'struct': {
      const struct = value as Record<string, unknown>;
      return Object.fromEntries(type.fields.map((field) => [field.name, normal(field.type, struct[field.name])]));
    }
    case 'map':
      return Object.fromEntries(
        entriesOf(value).map(([key, entry]) => [String(normal(type.key, key)), normal(type.value, entry)]),
      );
    case 'variant':
      return value;
  }
}

function entriesOf(map: unknown): [unknown, unknown][] {
  if (!Array.isArray(map)) return Object.entries(map as object);
  return map.map((entry: { key: unknown; value: unknown }) => [entry.key, entry.value ?? null]);
}

function scalar(logical: string, physical: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (value instanceof Date)
    return scalar(logical, physical, value.toISOString().slice(0, logical === 'DATE' ? 10 : 99));
  if (typeof value === 'bigint') return String(value);
  if (physical === 'INT64' && (logical === 'NONE' || logical === 'INTEGER')) return String(value);
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  if (logical === 'TIMESTAMP') return timestamp(String(value));
  if (logical === 'NONE' && (physical === 'FLOAT' || physical === 'DOUBLE') && typeof value === 'string') {
    return value
      .replace(/^inf/i, 'Infinity')
      .replace(/^-inf.*/i, '-Infinity')
      .replace(/^nan/i, 'NaN')
      .slice(0, 9);
  }
  return value;
}

/** DuckDB writes a blank, no trailing zeros and `+00`, and years beyond 9999 without a sign. */
function timestamp(text: string): string {
  const [, day, time = '', fraction = ''] = /^(\S+?)[ T]([0-9:]{8})(?:\.([0-9]+))?/.exec(text) ?? [];
  return `${day?.replace(/^\+0*/, '')}T${time}.${fraction.padEnd(9, '0')}`;
}
