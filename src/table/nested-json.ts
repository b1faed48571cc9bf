/**
 * The JSON text of a nested column's value, put together from its leaves by their levels, with no object in between.
 *
 *     list     [..]; an empty one is [], a null one null
 *     struct   {..} with every field of the table's struct, in order; what a file lacks is null
 *     map      {"key": value, ..} where keys are strings; else [{"key": key, "value": value}, ..], since JSON has no other
 *              keys; of several entries with one key the last counts, as the format says
 *     variant  the value it holds
 *
 * A column is compiled once into functions, one for each node of its schema, that take the cursors of the leaves below
 * them forward together. Each call consumes an entry of each of these leaves, so that levels can make no endless loop;
 * the depth of calls is the schema's, which is bounded. An assembly is used by one caller at a time, without a wait in
 * between: its cursors are its own.
 */

import { corrupt } from '../core/index.ts';
import type { LeafColumn, ListShape, MapShape, Shape, StructShape, ValueShape } from '../parquet/index.ts';
import type { BlockAt } from './block-at.ts';
import { castBetween } from './cast.ts';
import { CastValues } from './cast-values.ts';
import { type JsonOptions, type JsonWriter, jsonWriter } from './json-format.ts';
import { goOn, LeafCursor, skip, type Write } from './leaf-cursor.ts';
import { type NestedType, nestedTypeOf, valueLeaf } from './nested-type.ts';
import { checkNestedSize } from './value-size.ts';
import { type LeafCompiler, variantWrite } from './variant-json.ts';

export class NestedAssembly {
  /** The leaves whose blocks `json` takes, by the file's own schema. */
  readonly leaves: readonly LeafColumn[];
  readonly #cursors: readonly LeafCursor[];
  readonly #write: Write;
  readonly #bytesMax: number | undefined;

  /** `shape` is the file's, `type` the table's. */
  constructor(shape: Shape, type: NestedType, json: JsonOptions) {
    const cursors = new Map(shape.leaves.map((leaf) => [leaf, new LeafCursor(leaf)]));
    this.leaves = shape.leaves;
    this.#cursors = [...cursors.values()];
    this.#write = new Compiler(cursors, json).compile(shape, type, 0);
    this.#bytesMax = json.valueBytesMax;
  }

  /** The value of a row of the row group, one block for each leaf; `null` for null. */
  json(blocks: readonly BlockAt[], row: number): string {
    if (this.#bytesMax !== undefined) checkNestedSize(blocks, row, this.#bytesMax, this.leaves[0]?.path[0] ?? '');
    const cursors = this.#cursors;
    for (let i = 0; i < cursors.length; i++) (cursors[i] as LeafCursor).open(blocks[i] as BlockAt, row);
    const text = this.#write();
    for (const cursor of cursors) cursor.close();
    return text;
  }
}

class Compiler implements LeafCompiler {
  readonly json: JsonOptions;
  readonly #cursors: ReadonlyMap<LeafColumn, LeafCursor>;

  constructor(cursors: ReadonlyMap<LeafColumn, LeafCursor>, json: JsonOptions) {
    this.#cursors = cursors;
    this.json = json;
  }

  /** `outerLevel` is the definition level that what is around the shape has when it is there. */
  compile(shape: Shape, type: NestedType, outerLevel: number): Write {
    if (shape.kind === 'value' && type.kind === 'value') return this.#value(shape, type.leaf, outerLevel);
    if (shape.kind === 'struct' && type.kind === 'struct') return this.#struct(shape, type, outerLevel);
    if (shape.kind === 'list' && type.kind === 'list') return this.#list(shape, type.element, outerLevel);
    if (shape.kind === 'map' && type.kind === 'map') return this.#map(shape, type, outerLevel);
    if (shape.kind === 'variant' && type.kind === 'variant') return variantWrite(this, shape, outerLevel);
    throw corrupt(`a ${shape.kind} was united with a ${type.kind}`);
  }

  cursors(leaves: readonly LeafColumn[]): readonly LeafCursor[] {
    return leaves.map((leaf) => this.#cursors.get(leaf) as LeafCursor);
  }

  #value({ leaf, presentLevel }: ValueShape, target: LeafColumn, outerLevel: number): Write {
    const [cursor] = this.cursors([leaf]) as [LeafCursor];
    const write = valueWriter(leaf, target, this.json);
    return () => {
      const level = cursor.level();
      if (level < outerLevel) throw cursor.fault('say that something is null which is not');
      const text = level < presentLevel ? 'null' : write(cursor.block, cursor.entry);
      cursor.entry += 1;
      return text;
    };
  }

  #struct(shape: StructShape, type: NestedType & { readonly kind: 'struct' }, outerLevel: number): Write {
    const cursors = this.cursors(shape.leaves);
    const [first] = cursors as [LeafCursor];
    const fields = this.#fields(shape, type);
    const { presentLevel } = shape;
    return () => {
      const level = first.level();
      if (level < presentLevel) return skip(cursors, level, outerLevel, 'null');
      let text = '';
      for (let i = 0; i < fields.length; i++) {
        const { fragment, write } = fields[i] as CompiledField;
        text += fragment + write();
      }
      return `${text}}`;
    };
  }

  /** The table's fields, then those of the file that have a name twice. */
  #fields(shape: StructShape, type: NestedType & { readonly kind: 'struct' }): readonly CompiledField[] {
    const inFile = new Map<string, Shape>();
    const hidden: Shape[] = [];
    for (const { name, shape: field } of shape.fields) {
      if (inFile.has(name)) hidden.push(field);
      else inFile.set(name, field);
    }
    const compiled = type.fields.map(({ name, type: fieldType }, i): CompiledField => {
      const field = inFile.get(name);
      const fragment = `${i === 0 ? '{' : ','}${JSON.stringify(name)}:`;
      return { fragment, write: field === undefined ? writeNull : this.compile(field, fieldType, shape.presentLevel) };
    });
    return [...compiled, ...hidden.map((field) => ({ fragment: '', write: this.#leftOut(field, shape.presentLevel) }))];
  }

  /** A second field of one name is read like any other, so that its levels are held to their story, and not shown. */
  #leftOut(shape: Shape, outerLevel: number): Write {
    const write = this.compile(shape, nestedTypeOf(shape), outerLevel);
    return () => {
      write();
      return '';
    };
  }

  #list(shape: ListShape, type: NestedType, outerLevel: number): Write {
    const cursors = this.cursors(shape.leaves);
    const [first] = cursors as [LeafCursor];
    const element = this.compile(shape.element, type, shape.elementLevel);
    const { presentLevel, elementLevel, repetitionLevel } = shape;
    return () => {
      const level = first.level();
      if (level < presentLevel) return skip(cursors, level, outerLevel, 'null');
      if (level < elementLevel) return skip(cursors, level, outerLevel, '[]');
      let text = `[${element()}`;
      while (goOn(cursors, repetitionLevel)) text += `,${element()}`;
      return `${text}]`;
    };
  }

  #map(shape: MapShape, type: NestedType & { readonly kind: 'map' }, outerLevel: number): Write {
    const cursors = this.cursors(shape.leaves);
    const [first] = cursors as [LeafCursor];
    const key = this.compile(shape.key, type.key, shape.elementLevel);
    const value = this.compile(shape.value, type.value, shape.elementLevel);
    const isObject = isStringKey(type.key);
    const { presentLevel, elementLevel, repetitionLevel } = shape;
    return () => {
      const level = first.level();
      if (level < presentLevel) return skip(cursors, level, outerLevel, 'null');
      if (level < elementLevel) return skip(cursors, level, outerLevel, isObject ? '{}' : '[]');
      const entries = new Map<string, string>();
      do {
        const keyText = key();
        if (isObject && keyText === 'null') throw first.fault('say that a key of a map is null');
        const valueText = value();
        if (isObject) entries.set(keyText, `${keyText}:${valueText}`);
        // What prints as null (NaN, say) may be several keys.
        else entries.set(keyText === 'null' ? `${entries.size}th` : keyText, `{"key":${keyText},"value":${valueText}}`);
      } while (goOn(cursors, repetitionLevel));
      const text = [...entries.values()].join();
      return isObject ? `{${text}}` : `[${text}]`;
    };
  }
}

interface CompiledField {
  readonly fragment: string;
  readonly write: Write;
}

const writeNull: Write = () => 'null';

/** The writer of the table's type, with a cast before it where the file's differs. */
function valueWriter(leaf: LeafColumn, target: LeafColumn, json: JsonOptions): JsonWriterOfBlock {
  if (leaf.logicalType.kind === 'UNKNOWN' && target.logicalType.kind !== 'UNKNOWN') return writeNull;
  const own = valueLeaf(leaf);
  const writer = jsonWriter(target, json);
  const cast = castBetween(own, target);
  if (cast === 'same') return writer;
  if (cast === 'none') throw corrupt(`column ${leaf.name} was united from types that no cast joins`);
  return (block, entry) => writer(new CastValues(block, cast), entry);
}

type JsonWriterOfBlock = (block: ConstructorParameters<typeof CastValues>[0], entry: number) => ReturnType<JsonWriter>;

function isStringKey(type: NestedType): boolean {
  return type.kind === 'value' && (type.leaf.logicalType.kind === 'STRING' || type.leaf.logicalType.kind === 'ENUM');
}
