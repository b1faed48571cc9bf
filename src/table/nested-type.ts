/**
 * What a nested column of a table is, whichever way its files lay it out: the union by name of their structs, fields
 * within fields too. A field that a file lacks reads null there; values widen as those of flat columns do.
 */

import type { LeafColumn, Shape } from '../parquet/index.ts';
import { typeText } from './column-type.ts';
import { widerType } from './widening.ts';

export type NestedType =
  | { readonly kind: 'value'; readonly leaf: LeafColumn }
  | { readonly kind: 'struct'; readonly fields: readonly NestedField[] }
  | { readonly kind: 'list'; readonly element: NestedType }
  | { readonly kind: 'map'; readonly key: NestedType; readonly value: NestedType }
  | { readonly kind: 'variant' };

export interface NestedField {
  readonly name: string;
  readonly type: NestedType;
}

export function nestedTypeOf(shape: Shape): NestedType {
  switch (shape.kind) {
    case 'value':
      return { kind: 'value', leaf: valueLeaf(shape.leaf) };
    case 'struct':
      return { kind: 'struct', fields: fieldsOf(shape) };
    case 'list':
      return { kind: 'list', element: nestedTypeOf(shape.element) };
    case 'map':
      return { kind: 'map', key: nestedTypeOf(shape.key), value: nestedTypeOf(shape.value) };
    case 'variant':
      return { kind: 'variant' };
  }
}

/** Of two fields of one name the first counts, as of two columns. */
function fieldsOf({ fields }: Shape & { readonly kind: 'struct' }): readonly NestedField[] {
  const byName = new Map<string, NestedField>();
  for (const { name, shape } of fields) if (!byName.has(name)) byName.set(name, { name, type: nestedTypeOf(shape) });
  return [...byName.values()];
}

/** The leaf as if its values stood in a flat column: what is above it is the assembly's concern. */
export function valueLeaf(leaf: LeafColumn): LeafColumn {
  return { ...leaf, path: [leaf.name], maxDefinitionLevel: 1, maxRepetitionLevel: 0 };
}

/** The type that holds the values of both; undefined where there is none. */
export function uniteNested(a: NestedType, b: NestedType): NestedType | undefined {
  if (a.kind === 'value' && b.kind === 'value') return uniteValues(a.leaf, b.leaf);
  if (a.kind === 'struct' && b.kind === 'struct') return uniteStructs(a.fields, b.fields);
  if (a.kind === 'list' && b.kind === 'list') {
    const element = uniteNested(a.element, b.element);
    return element && { kind: 'list', element };
  }
  if (a.kind === 'map' && b.kind === 'map') {
    const key = uniteNested(a.key, b.key);
    const value = uniteNested(a.value, b.value);
    return key && value && { kind: 'map', key, value };
  }
  return a.kind === 'variant' && b.kind === 'variant' ? a : undefined;
}

function uniteValues(a: LeafColumn, b: LeafColumn): NestedType | undefined {
  // A column of nothing but nulls has a type by accident.
  if (a.logicalType.kind === 'UNKNOWN') return { kind: 'value', leaf: b };
  if (b.logicalType.kind === 'UNKNOWN') return { kind: 'value', leaf: a };
  const type = widerType(a, b);
  return type && { kind: 'value', leaf: { ...a, ...type } };
}

function uniteStructs(a: readonly NestedField[], b: readonly NestedField[]): NestedType | undefined {
  const byName = new Map(a.map((field) => [field.name, field.type]));
  for (const { name, type } of b) {
    const known = byName.get(name);
    const united = known === undefined ? type : uniteNested(known, type);
    if (united === undefined) return undefined;
    byName.set(name, united);
  }
  return { kind: 'struct', fields: [...byName].map(([name, type]) => ({ name, type })) };
}

/** As people read it: `LIST<STRUCT<a INT64, b MAP<BYTE_ARRAY STRING, DOUBLE>>>`. */
export function nestedTypeText(type: NestedType): string {
  switch (type.kind) {
    case 'value':
      return typeText(type.leaf);
    case 'struct':
      return `STRUCT<${type.fields.map((field) => `${field.name} ${nestedTypeText(field.type)}`).join(', ')}>`;
    case 'list':
      return `LIST<${nestedTypeText(type.element)}>`;
    case 'map':
      return `MAP<${nestedTypeText(type.key)}, ${nestedTypeText(type.value)}>`;
    case 'variant':
      return 'VARIANT';
  }
}
