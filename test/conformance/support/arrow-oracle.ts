/** A file's columns as the Rust reader of parquet-wasm hands them to apache-arrow. */

import * as arrow from 'apache-arrow';
import * as wasm from 'parquet-wasm/node';
import { decimalText, isoDate, isoTime } from './duckdb-oracle.ts';
import { base64, type Expected, type ExpectedColumns, expectedMap, Fields, Float, Instant } from './expected.ts';

const NANOS = [1_000_000_000n, 1_000_000n, 1000n, 1n] as const;

export function arrowColumns(file: Uint8Array): ExpectedColumns {
  const table = arrow.tableFromIPC(wasm.readParquet(file).intoIPCStream());
  return new Map(
    table.schema.fields.map((field, i) => {
      const vector = table.getChildAt(i);
      if (vector === null) throw new Error(`no vector of ${field.name}`);
      return [field.name, valuesOf(vector)];
    }),
  );
}

function valuesOf(vector: arrow.Vector): readonly Expected[] {
  return Array.from({ length: vector.length }, (_, row) => {
    return expected(vector.type, vector.data, row);
  });
}

/** The raw value at a row, from the chunk of the vector that holds it: arrow's own getters round times to doubles. */
function expected(type: arrow.DataType, chunks: readonly arrow.Data[], row: number): Expected {
  let at = row;
  for (const data of chunks) {
    if (at < data.length) return valueAt(type, data, at);
    at -= data.length;
  }
  throw new Error(`row ${row} is in no chunk`);
}

function valueAt(type: arrow.DataType, data: arrow.Data, row: number): Expected {
  if (!data.getValid(row)) return null;
  const vector = new arrow.Vector([data]);
  if (arrow.DataType.isDecimal(type)) return decimalText(decimalOf(data, row, type), type.scale);
  if (arrow.DataType.isTimestamp(type)) {
    const units = (data.values as BigInt64Array)[row] as bigint;
    const unit = type.unit as 0 | 1 | 2 | 3;
    return new Instant(units * NANOS[unit], type.timezone != null && type.timezone !== '');
  }
  if (arrow.DataType.isTime(type)) {
    const units = BigInt((data.values as Int32Array)[row] as number);
    return isoTime(units * NANOS[type.unit as 0 | 1 | 2 | 3], 3 * (type.unit as number));
  }
  if (arrow.DataType.isDate(type)) return isoDate((data.values as Int32Array)[row] as number);
  if (arrow.DataType.isFloat(type))
    return new Float(vector.get(row) as number, ([16, 32, 64] as const)[type.precision]);
  if (arrow.DataType.isInt(type)) return BigInt(vector.get(row) as number);
  if (arrow.DataType.isBool(type)) return vector.get(row) as boolean;
  if (arrow.DataType.isNull(type)) return null;
  if (arrow.DataType.isUtf8(type) || arrow.DataType.isLargeUtf8(type)) return vector.get(row) as string;
  return nestedAt(type, data, row, vector);
}

function nestedAt(type: arrow.DataType, data: arrow.Data, row: number, vector: arrow.Vector): Expected {
  if (arrow.DataType.isList(type)) return elements(type.children[0] as arrow.Field, data, row);
  if (arrow.DataType.isStruct(type)) {
    return new Fields(type.children.map((field, i) => [field.name, childAt(field, data, i, row)]));
  }
  if (arrow.DataType.isMap(type)) {
    const entries = data.children[0] as arrow.Data;
    const [from = 0, to = 0] = [data.valueOffsets[row], data.valueOffsets[row + 1]];
    const [key, value] = (type.children[0] as arrow.Field<arrow.Struct>).type.children as [arrow.Field, arrow.Field];
    return expectedMap(
      arrow.DataType.isUtf8(key.type) || arrow.DataType.isLargeUtf8(key.type),
      Array.from({ length: to - from }, (_, i) => [
        childAt(key, entries, 0, from + i),
        value === undefined ? null : childAt(value, entries, 1, from + i),
      ]),
    );
  }
  const bytes = vector.get(row) as unknown;
  if (bytes instanceof Uint8Array) return base64(bytes);
  throw new Error(`a value of Arrow's ${type} has no expected form here`);
}

function elements(field: arrow.Field, data: arrow.Data, row: number): Expected {
  const [from = 0, to = 0] = [data.valueOffsets[row], data.valueOffsets[row + 1]];
  return Array.from({ length: to - from }, (_, i) => childAt(field, data, 0, from + i));
}

function childAt(field: arrow.Field, data: arrow.Data, child: number, row: number): Expected {
  return valueAt(field.type, data.children[child] as arrow.Data, row);
}

function decimalOf(data: arrow.Data, row: number, type: arrow.Decimal): bigint {
  const words = type.bitWidth / 32;
  const values = data.values as Uint32Array;
  let unscaled = 0n;
  for (let i = words - 1; i >= 0; i -= 1)
    unscaled = (unscaled << 32n) | BigInt((values[row * words + i] as number) >>> 0);
  return BigInt.asIntN(type.bitWidth, unscaled);
}
