/**
 * A predicate as callers write it: `{"column": "a.b", "op": ">=", "value": 30}`, joined by `and`, `or` and `not`; or for
 * people at a command line `a.b>=30`.
 *
 * Values are read in the strict forms of keys. Whatever is wrong is said with its place in the body and with what would
 * be right: a predicate that is misread answers for other rows.
 */

import { ServiceError } from '../core/index.ts';
import { compareKeys, type KeyValue, keyClassOf, type LeafColumn } from '../parquet/index.ts';
import { ExactNumber, parseKeyJson, parseKeyText } from './key.ts';
import type { NestedType } from './nested-type.ts';
import {
  type Interval,
  negated,
  type Predicate,
  type PredicateField,
  point,
  pointsOf,
  prefixInterval,
  type ValueTest,
} from './predicate.ts';
import type { TableColumn } from './schema.ts';
import type { Snapshot } from './snapshot.ts';

const DEPTH_MAX = 32;
const TESTS_MAX = 1000;
const IN_VALUES_MAX = 10_000;
const ECHO_MAX = 100;

const COMPARISONS = ['=', '!=', '<', '<=', '>', '>='] as const;
type Comparison = (typeof COMPARISONS)[number];
const OPERATORS: readonly string[] = [...COMPARISONS, 'in', 'between', 'is_null', 'is_not_null', 'starts_with'];
const WITHOUT_VALUE: readonly string[] = ['is_null', 'is_not_null'];
const SHAPE = '{"column":"age","op":">=","value":30}, {"and":[...]}, {"or":[...]} or {"not":{...}}';

/** `where` as `parseExactJson` gives it. Throws `bad_predicate`, `unknown_column`, `unsupported`. */
export function parsePredicate(snapshot: Snapshot, where: unknown): Predicate {
  return new PredicateParser(snapshot).parse(where, 'where', 1);
}

/** `age>=5`, or the JSON that a body would have. */
export function parsePredicateText(snapshot: Snapshot, text: string, parseJson: (text: string) => unknown): Predicate {
  if (text.trimStart().startsWith('{')) return parsePredicate(snapshot, parseJson(text));
  const match = /^\s*(.+?)\s*(!=|<=|>=|=|<|>)\s*(.*)$/s.exec(text);
  if (match === null) {
    throw bad('where', `${JSON.stringify(text)} is no predicate; write 'age>=5', or JSON: ${SHAPE}`);
  }
  const field = fieldNamed(snapshot, match[1] ?? '', 'where');
  const leaf = comparable(field, 'where');
  const value = readValue('where', leaf, () => parseKeyText(leaf, match[3] ?? ''));
  return { kind: 'test', field, test: comparison(leaf, match[2] as Comparison, value) };
}

class PredicateParser {
  readonly #snapshot: Snapshot;
  readonly #fields = new Map<string, PredicateField>();
  #tests = 0;

  constructor(snapshot: Snapshot) {
    this.#snapshot = snapshot;
  }

  parse(node: unknown, path: string, depth: number): Predicate {
    if (depth > DEPTH_MAX) throw bad(path, `predicates nest at most ${DEPTH_MAX} deep`);
    if (!isObject(node)) throw bad(path, `expected ${SHAPE}, not ${shown(node)}`);
    const names = Object.keys(node);
    const [first = ''] = names;
    if (names.length === 1 && (first === 'and' || first === 'or')) {
      return { kind: first, parts: this.#parts(node[first], `${path}.${first}`, depth) };
    }
    if (names.length === 1 && first === 'not') return negated(this.parse(node.not, `${path}.not`, depth + 1));
    return this.#test(node, path);
  }

  #parts(parts: unknown, path: string, depth: number): readonly Predicate[] {
    if (!Array.isArray(parts) || parts.length === 0) throw bad(path, 'expected an array of at least one predicate');
    return parts.map((part, i) => this.parse(part, `${path}[${i}]`, depth + 1));
  }

  #test(node: Readonly<Record<string, unknown>>, path: string): Predicate {
    this.#tests += 1;
    if (this.#tests > TESTS_MAX) throw bad(path, `a predicate has at most ${TESTS_MAX} comparisons`);
    const unknown = Object.keys(node).find((name) => !['column', 'op', 'value'].includes(name));
    if (unknown !== undefined) throw bad(path, `has no field ${shown(unknown)}; expected ${SHAPE}`);
    const { column, op } = node;
    if (typeof column !== 'string') throw bad(`${path}.column`, 'expected the name of a column, such as "age"');
    if (typeof op !== 'string' || !OPERATORS.includes(op)) {
      throw bad(`${path}.op`, `expected one of ${OPERATORS.join(' ')}, not ${shown(op)}`);
    }
    if (WITHOUT_VALUE.includes(op) && node.value !== undefined) throw bad(`${path}.value`, `${op} takes no value`);
    if (!WITHOUT_VALUE.includes(op) && node.value === undefined) throw bad(path, `${op} needs a value`);
    const field = this.#field(column, `${path}.column`);
    return { kind: 'test', field, test: testOf(field, op, node.value, path) };
  }

  #field(name: string, path: string): PredicateField {
    const known = this.#fields.get(name);
    if (known !== undefined) return known;
    const field = fieldNamed(this.#snapshot, name, path);
    this.#fields.set(name, field);
    return field;
  }
}

function testOf(field: PredicateField, op: string, value: unknown, path: string): ValueTest {
  if (op === 'is_null') return { kind: 'is null' };
  if (op === 'is_not_null') return { kind: 'is not null' };
  const leaf = comparable(field, `${path}.column`);
  const at = `${path}.value`;
  const read = (given: unknown, where: string) => readValue(where, leaf, () => parseKeyJson(leaf, given));
  if (op === 'in')
    return within(
      leaf,
      pointsOf(
        leaf,
        listOf(value, at).map((it, i) => read(it, `${at}[${i}]`)),
      ),
    );
  if (op === 'between') {
    if (!Array.isArray(value) || value.length !== 2)
      throw bad(at, 'between takes an array of two values, both included');
    const [low, high] = [read(value[0], `${at}[0]`), read(value[1], `${at}[1]`)];
    const isEmpty = compareKeys(leaf, low, high) > 0;
    return within(leaf, isEmpty ? [] : [{ low, isLowOpen: false, high, isHighOpen: false }]);
  }
  if (op === 'starts_with') {
    if (typeof value !== 'string' || !isText(leaf))
      throw bad(at, 'starts_with takes a string, and a column of strings');
    if (!value.isWellFormed()) throw bad(at, 'the string has half of a surrogate pair, which is in no text');
    return within(leaf, [prefixInterval(Buffer.from(value, 'utf8'))]);
  }
  return comparison(leaf, op as Comparison, read(value, at));
}

function comparison(leaf: LeafColumn, op: Comparison, value: KeyValue): ValueTest {
  const below = (isHighOpen: boolean): Interval => ({ low: undefined, isLowOpen: false, high: value, isHighOpen });
  const above = (isLowOpen: boolean): Interval => ({ low: value, isLowOpen, high: undefined, isHighOpen: false });
  switch (op) {
    case '=':
      return within(leaf, [point(value)]);
    case '!=':
      return within(leaf, [below(true), above(true)]);
    case '<':
      return within(leaf, [below(true)]);
    case '<=':
      return within(leaf, [below(false)]);
    case '>':
      return within(leaf, [above(true)]);
    case '>=':
      return within(leaf, [above(false)]);
  }
}

function within(leaf: LeafColumn, intervals: readonly Interval[]): ValueTest {
  return { kind: 'within', leaf, intervals };
}

function listOf(value: unknown, path: string): readonly unknown[] {
  if (!Array.isArray(value) || value.length === 0) throw bad(path, 'in takes an array of at least one value');
  if (value.length > IN_VALUES_MAX) throw bad(path, `in takes at most ${IN_VALUES_MAX} values`);
  return value;
}

/** A key's fault, said of the place in the body. */
function readValue(path: string, leaf: LeafColumn, read: () => KeyValue): KeyValue {
  try {
    return read();
  } catch (thrown) {
    if (!(thrown instanceof ServiceError) || thrown.kind !== 'invalid') throw thrown;
    const { expected, given } = thrown.context;
    const found = given === undefined ? 'null: ask for that with is_null' : JSON.stringify(given);
    const message = `${path}: column ${leaf.name} takes ${String(expected)}, not ${found}`;
    throw new ServiceError('invalid', 'bad_predicate', message, { ...thrown.context, path });
  }
}

/** A column of that name; else, since names may have dots too, the field of the longest column that it begins with. */
function fieldNamed(snapshot: Snapshot, name: string, path: string): PredicateField {
  const { byName } = snapshot.schema;
  const own = byName.get(name);
  if (own !== undefined) return fieldOf(own, own.nested, [], name, path);
  for (let dot = name.lastIndexOf('.'); dot > 0; dot = name.lastIndexOf('.', dot - 1)) {
    const column = byName.get(name.slice(0, dot));
    const found = column?.nested && fieldIn(column.nested, name.slice(dot + 1));
    if (column !== undefined && found !== undefined) return fieldOf(column, found.type, found.names, name, path);
    if (column?.nested !== undefined) throw unknownField(name, column, path);
  }
  const known = [...byName.keys()].slice(0, 50);
  const message = `${path}: there is no column ${shown(name)}; the columns are ${known.join(', ')}`;
  throw new ServiceError('invalid', 'unknown_column', message, { column: name.slice(0, ECHO_MAX), known, path });
}

interface FoundField {
  readonly type: NestedType;
  readonly names: readonly string[];
}

function fieldIn(type: NestedType, name: string): FoundField | undefined {
  if (type.kind !== 'struct') return type.kind === 'value' ? undefined : { type, names: [] };
  const own = type.fields.find((field) => field.name === name);
  if (own !== undefined) return { type: own.type, names: [name] };
  for (let dot = name.lastIndexOf('.'); dot > 0; dot = name.lastIndexOf('.', dot - 1)) {
    const outer = type.fields.find((field) => field.name === name.slice(0, dot));
    const found = outer && fieldIn(outer.type, name.slice(dot + 1));
    if (outer !== undefined && found !== undefined) return { ...found, names: [outer.name, ...found.names] };
  }
  return undefined;
}

function fieldOf(
  column: TableColumn,
  type: NestedType | undefined,
  path: readonly string[],
  name: string,
  at: string,
): PredicateField {
  if (type === undefined && column.leaf !== undefined) return { column, path, leaf: column.leaf };
  if (type?.kind === 'value') return { column, path, leaf: { ...type.leaf, name } };
  const what = type?.kind === 'struct' ? 'a struct: name a field of it' : `${type?.kind ?? column.unsupported}`;
  const message = `${at}: column ${shown(name)} is ${what}; a predicate takes columns of one value a row, and fields of structs`;
  throw new ServiceError('invalid', 'unsupported', message, { column: name, path: at });
}

function unknownField(name: string, column: TableColumn, path: string): ServiceError {
  const fields = column.nested?.kind === 'struct' ? column.nested.fields.map((field) => field.name).slice(0, 50) : [];
  const message = `${path}: there is no field ${shown(name)}; column ${column.name} has ${fields.join(', ') || 'none'}`;
  return new ServiceError('invalid', 'unknown_column', message, {
    column: name.slice(0, ECHO_MAX),
    known: fields,
    path,
  });
}

function comparable({ leaf, column }: PredicateField, path: string): LeafColumn {
  if (leaf !== undefined && keyClassOf(leaf) !== 'unsearchable') return leaf;
  const message = `${path}: values of column ${column.name} have no order; it can only be asked with is_null and is_not_null`;
  throw new ServiceError('invalid', 'unsupported', message, { column: column.name, path });
}

function isText({ logicalType: { kind } }: LeafColumn): boolean {
  return kind === 'STRING' || kind === 'ENUM' || kind === 'JSON';
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof ExactNumber);
}

function shown(value: unknown): string {
  const text = value instanceof ExactNumber ? value.source : (JSON.stringify(value) ?? 'nothing');
  return text.length > ECHO_MAX ? `${text.slice(0, ECHO_MAX).toWellFormed()}…` : text;
}

function bad(path: string, message: string): ServiceError {
  return new ServiceError('invalid', 'bad_predicate', `${path}: ${message}`, { path });
}
