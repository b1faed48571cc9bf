/**
 * What a nested column means: lists, maps and structs, whichever of the many forms its writer gave them.
 *
 * The rules are LogicalTypes.md's, the ones for backward compatibility included
 * (https://github.com/apache/parquet-format/blob/master/LogicalTypes.md#nested-types). A group whose annotation its
 * form does not fit reads as the struct it is, and a repeated field that no annotation explains as a required list of
 * required elements. A map without values is the list of its keys.
 */

import { unsupported } from '../core/index.ts';
import type { LeafColumn, SchemaGroup, SchemaNode } from './schema.ts';

interface ShapeBase {
  /** A definition level of at least this says that the value is there; one below it that it, or something around it, is not. */
  readonly presentLevel: number;
  /** The leaves below, in order. Never none. */
  readonly leaves: readonly LeafColumn[];
}

export interface ValueShape extends ShapeBase {
  readonly kind: 'value';
  readonly leaf: LeafColumn;
}

export interface StructShape extends ShapeBase {
  readonly kind: 'struct';
  readonly fields: readonly { readonly name: string; readonly shape: Shape }[];
}

interface RepeatedShape extends ShapeBase {
  /** A definition level of at least this says that there is an element. */
  readonly elementLevel: number;
  /** The repetition level of every element but the first. */
  readonly repetitionLevel: number;
}

export interface ListShape extends RepeatedShape {
  readonly kind: 'list';
  readonly element: Shape;
}

export interface MapShape extends RepeatedShape {
  readonly kind: 'map';
  readonly key: Shape;
  readonly value: Shape;
}

export interface VariantShape extends ShapeBase {
  readonly kind: 'variant';
  readonly metadata: ValueShape;
  readonly content: VariantContent;
}

/** A value, what a writer shredded of it, or both: https://github.com/apache/parquet-format/blob/master/VariantShredding.md */
export interface VariantContent {
  readonly leaves: readonly LeafColumn[];
  readonly value: ValueShape | undefined;
  readonly typed: VariantTyped | undefined;
}

export type VariantTyped =
  | ValueShape
  | (RepeatedShape & { readonly kind: 'list'; readonly element: VariantContent })
  | (ShapeBase & {
      readonly kind: 'struct';
      readonly fields: readonly { readonly name: string; readonly content: VariantContent }[];
    });

export type Shape = ValueShape | StructShape | ListShape | MapShape | VariantShape;

/** Levels that hold at a node, its own repetition included. */
interface Levels {
  readonly definition: number;
  readonly repetition: number;
}

const ROOT: Levels = { definition: 0, repetition: 0 };

/** The shape of a column, a child of the schema's root. Throws `unsupported` where a group in it has no leaf. */
export function shapeOf(column: SchemaNode): Shape {
  return fieldShape(column, ROOT);
}

/** A field as it stands in a struct. */
function fieldShape(node: SchemaNode, around: Levels): Shape {
  if (node.repetition === 'REQUIRED') return contentShape(node, around);
  const definition = around.definition + 1;
  if (node.repetition === 'OPTIONAL') return contentShape(node, { ...around, definition });
  const levels = { definition, repetition: around.repetition + 1 };
  return listShape(contentShape(node, levels), around, levels);
}

function listShape(element: Shape, list: Levels, elements: Levels): ListShape {
  return { kind: 'list', ...repeated(list, elements), element, leaves: element.leaves };
}

function repeated(list: Levels, elements: Levels) {
  return {
    presentLevel: list.definition,
    elementLevel: elements.definition,
    repetitionLevel: elements.repetition,
  };
}

/** A node without its repetition, which `levels` count already. */
function contentShape(node: SchemaNode, levels: Levels): Shape {
  if (node.kind === 'leaf') return valueShape(node.leaf, levels);
  const inner = { definition: levels.definition + 1, repetition: levels.repetition + 1 };
  const [child] = node.children;
  if (child !== undefined && node.children.length === 1 && child.repetition === 'REPEATED') {
    if (node.annotation === 'LIST') return listShape(elementShape(node, child, inner), levels, inner);
    if (node.annotation === 'MAP' && child.kind === 'group') {
      const map = mapShape(child, levels, inner);
      if (map !== undefined) return map;
    }
  }
  return (node.annotation === 'VARIANT' ? variantShape(node, levels) : undefined) ?? structShape(node, levels);
}

function valueShape(leaf: LeafColumn, levels: Levels): ValueShape {
  return { kind: 'value', presentLevel: levels.definition, leaf, leaves: [leaf] };
}

function structShape(group: SchemaGroup, levels: Levels): StructShape {
  const fields = group.children.map((child) => ({ name: child.name, shape: fieldShape(child, levels) }));
  const leaves = fields.flatMap(({ shape }) => shape.leaves);
  if (leaves.length === 0) {
    throw unsupported(`group ${group.name} has no columns below it, so nothing says whether it is there`, {
      feature: 'a group without columns',
    });
  }
  return { kind: 'struct', presentLevel: levels.definition, fields, leaves };
}

/**
 * The repeated group of a list either is the element (older writers) or holds it as its only field. It is the element
 * when it has several fields, or a repeated one, or is named `array` or after the list with `_tuple`.
 */
function elementShape(list: SchemaGroup, repeatedNode: SchemaNode, levels: Levels): Shape {
  if (repeatedNode.kind === 'leaf') return valueShape(repeatedNode.leaf, levels);
  const [only] = repeatedNode.children;
  const isElement =
    only === undefined ||
    repeatedNode.children.length > 1 ||
    only.repetition === 'REPEATED' ||
    repeatedNode.name === 'array' ||
    repeatedNode.name === `${list.name}_tuple`;
  return isElement ? contentShape(repeatedNode, levels) : fieldShape(only, levels);
}

/** Key and value go by their position, since older writers named them as they liked. */
function mapShape(entry: SchemaGroup, map: Levels, levels: Levels): Shape | undefined {
  const [key, value] = entry.children;
  if (key === undefined || entry.children.length > 2) return undefined;
  const keyShape = fieldShape(key, levels);
  if (value === undefined) return listShape(keyShape, map, levels);
  const shape = fieldShape(value, levels);
  const leaves = [...keyShape.leaves, ...shape.leaves];
  return { kind: 'map', ...repeated(map, levels), key: keyShape, value: shape, leaves };
}

/** Undefined where the group is not what the annotation says. */
function variantShape(group: SchemaGroup, levels: Levels): VariantShape | undefined {
  const [metadata] = group.children.filter((child) => child.name === 'metadata');
  if (metadata?.kind !== 'leaf' || metadata.repetition !== 'REQUIRED' || !isBinary(metadata.leaf)) return undefined;
  const content = variantContent(group, levels, 1);
  if (content === undefined) return undefined;
  const leaves = group.children.flatMap((child) =>
    child.name === 'metadata' ? [metadata.leaf] : variantLeaves(content, child.name),
  );
  return {
    kind: 'variant',
    presentLevel: levels.definition,
    metadata: valueShape(metadata.leaf, levels),
    content,
    leaves,
  };
}

function variantLeaves(content: VariantContent, name: string): readonly LeafColumn[] {
  return (name === 'value' ? content.value?.leaves : content.typed?.leaves) ?? [];
}

/** `value` and `typed_value`, at least one of them, and `others` further fields. */
function variantContent(group: SchemaGroup, levels: Levels, others: number): VariantContent | undefined {
  const value = group.children.find((child) => child.name === 'value');
  const typed = group.children.find((child) => child.name === 'typed_value');
  const known = others + (value === undefined ? 0 : 1) + (typed === undefined ? 0 : 1);
  if (known !== group.children.length || known === others) return undefined;
  if (value !== undefined && (value.kind !== 'leaf' || value.repetition === 'REPEATED' || !isBinary(value.leaf))) {
    return undefined;
  }
  const valueField = value && valueShape(value.leaf, fieldLevels(value, levels));
  if (typed === undefined) return { value: valueField, typed: undefined, leaves: valueField?.leaves ?? [] };
  const typedField = variantTyped(typed, levels);
  if (typedField === undefined) return undefined;
  const leaves = group.children.flatMap((child) =>
    child === value ? (valueField?.leaves ?? []) : child === typed ? typedField.leaves : [],
  );
  return { value: valueField, typed: typedField, leaves };
}

function fieldLevels(node: SchemaNode, { definition, repetition }: Levels): Levels {
  return { definition: definition + (node.repetition === 'OPTIONAL' ? 1 : 0), repetition };
}

function variantTyped(node: SchemaNode, around: Levels): VariantTyped | undefined {
  if (node.repetition === 'REPEATED') return undefined;
  const levels = fieldLevels(node, around);
  if (node.kind === 'leaf') return valueShape(node.leaf, levels);
  return node.annotation === 'LIST' ? variantList(node, levels) : variantStruct(node, levels);
}

function variantList(group: SchemaGroup, levels: Levels): VariantTyped | undefined {
  const [list] = group.children;
  if (list?.kind !== 'group' || group.children.length !== 1 || list.repetition !== 'REPEATED') return undefined;
  const [element] = list.children;
  if (element?.kind !== 'group' || list.children.length !== 1 || element.repetition === 'REPEATED') return undefined;
  const inner = { definition: levels.definition + 1, repetition: levels.repetition + 1 };
  const content = variantContent(element, fieldLevels(element, inner), 0);
  return content && { kind: 'list', ...repeated(levels, inner), element: content, leaves: content.leaves };
}

function variantStruct(group: SchemaGroup, levels: Levels): VariantTyped | undefined {
  const fields: { name: string; content: VariantContent }[] = [];
  for (const child of group.children) {
    if (child.kind !== 'group' || child.repetition === 'REPEATED') return undefined;
    const content = variantContent(child, fieldLevels(child, levels), 0);
    if (content === undefined) return undefined;
    fields.push({ name: child.name, content });
  }
  const leaves = fields.flatMap(({ content }) => content.leaves);
  return leaves.length === 0 ? undefined : { kind: 'struct', presentLevel: levels.definition, fields, leaves };
}

function isBinary(leaf: LeafColumn): boolean {
  return leaf.physicalType === 'BYTE_ARRAY' && leaf.logicalType.kind === 'NONE';
}
