/**
 * The schema of a footer: a flat list of SchemaElements in depth-first order, made into a tree and its leaves.
 *
 * Each annotation is brought to LogicalType's form, whichever of the two generations of annotation the writer used.
 * The tree's depth, width and the sizes derived from both are bounded, since a short footer can describe a tree whose
 * paths, written out, would be enormous.
 */

import { corrupt, unsupported } from '../core/index.ts';
import { PHYSICAL_TYPES, REPETITIONS } from './file-format.ts';
import { type Annotation, annotationOf, readLogicalType } from './logical-type.ts';
import type {
  FileSchema,
  LeafColumn,
  LogicalType,
  PhysicalType,
  Repetition,
  SchemaGroup,
  SchemaNode,
} from './schema.ts';
import { type ThriftReader, WIRE } from './thrift.ts';

const MAX_DEPTH = 100;
const MAX_ELEMENTS = 250_000;
/** Characters of all leaf names together, each being its whole path. */
const MAX_NAME_CHARACTERS = 16 * 2 ** 20;
const MAX_PATH_PARTS = 4_000_000;

export interface SchemaElement {
  readonly type: PhysicalType | undefined;
  readonly typeLength: number;
  readonly repetition: Repetition | undefined;
  readonly name: string;
  readonly numChildren: number;
  readonly fieldId: number | undefined;
  readonly annotation: Annotation;
}

/** Decodes the `list<SchemaElement>` at the reader's place, and leaves the reader behind it. */
export function decodeSchema(reader: ThriftReader): FileSchema {
  // The shortest element is a name: field header, length, end of struct.
  const size = reader.listSize(WIRE.STRUCT, 3);
  if (size === 0) throw corrupt('the schema is empty: it lacks even a root');
  if (size > MAX_ELEMENTS) throw unsupported(`the schema has ${size} elements and at most ${MAX_ELEMENTS} are read`);
  const elements: SchemaElement[] = [];
  for (let index = 0; index < size; index += 1) elements.push(readSchemaElement(reader));
  return new TreeBuilder(elements).build();
}

function readSchemaElement(reader: ThriftReader): SchemaElement {
  let type: number | undefined;
  let typeLength: number | undefined;
  let repetition: number | undefined;
  let name: string | undefined;
  let numChildren = 0;
  let convertedType: number | undefined;
  let scale = 0;
  let precision = 0;
  let fieldId: number | undefined;
  let logicalType: Annotation | undefined;
  for (let field = reader.nextField(0); field !== 0; field = reader.nextField(field)) {
    if (field === 0x16) type = reader.integer();
    else if (field === 0x26) typeLength = reader.integer();
    else if (field === 0x36) repetition = reader.integer();
    else if (field === 0x48) name = reader.string();
    else if (field === 0x56) numChildren = reader.integer();
    else if (field === 0x66) convertedType = reader.integer();
    else if (field === 0x76) scale = reader.integer();
    else if (field === 0x86) precision = reader.integer();
    else if (field === 0x96) fieldId = reader.integer();
    else if (field === 0xac) logicalType = readLogicalType(reader);
    else reader.skip(field);
  }
  if (name === undefined) throw corrupt('a schema element has no name');
  const physicalType = type === undefined ? undefined : PHYSICAL_TYPES[type];
  if (type !== undefined && physicalType === undefined) throw corrupt(`column ${name} has the unknown type ${type}`);
  const length = physicalType === 'FIXED_LEN_BYTE_ARRAY' ? checkTypeLength(name, typeLength) : 0;
  return {
    type: physicalType,
    typeLength: length,
    repetition: repetitionOf(name, repetition),
    name,
    numChildren,
    fieldId,
    annotation: annotationOf({ logicalType, convertedType, scale, precision, physicalType, typeLength: length }),
  };
}

function checkTypeLength(name: string, typeLength: number | undefined): number {
  if (typeLength !== undefined && typeLength > 0 && typeLength <= 0x7fff_ffff) return typeLength;
  throw corrupt(`column ${name} is a FIXED_LEN_BYTE_ARRAY of length ${typeLength ?? '(missing)'}`);
}

function repetitionOf(name: string, repetition: number | undefined): Repetition | undefined {
  if (repetition === undefined) return undefined;
  const known = REPETITIONS[repetition];
  if (known !== undefined) return known;
  if (repetition === 3) throw unsupported(`column ${name} is a VECTOR, which this version cannot read`);
  throw corrupt(`column ${name} has the unknown repetition ${repetition}`);
}

interface Place {
  readonly path: readonly string[];
  readonly name: string;
  readonly definitionLevel: number;
  readonly repetitionLevel: number;
}

class TreeBuilder {
  readonly #elements: readonly SchemaElement[];
  readonly #leaves: LeafColumn[] = [];
  #next = 0;
  #nameCharacters = 0;
  #pathParts = 0;

  constructor(elements: readonly SchemaElement[]) {
    this.#elements = elements;
  }

  build(): FileSchema {
    const element = this.#take();
    if (element.type !== undefined) throw corrupt('the root of the schema is a column, not a group');
    const place = { path: [], name: '', definitionLevel: 0, repetitionLevel: 0 };
    const root = this.#group(element, 'REQUIRED', place, 0);
    const left = this.#elements.length - this.#next;
    if (left > 0) throw corrupt(`the schema has ${left} elements that belong to no group`);
    return { root, leaves: this.#leaves };
  }

  #take(): SchemaElement {
    const element = this.#elements[this.#next];
    if (element === undefined) throw corrupt('a group of the schema names more children than there are elements');
    this.#next += 1;
    return element;
  }

  #group(element: SchemaElement, repetition: Repetition, place: Place, depth: number): SchemaGroup {
    if (depth > MAX_DEPTH) throw unsupported(`the schema nests groups more than ${MAX_DEPTH} deep`);
    if (element.numChildren < 0) throw corrupt(`group ${element.name} has ${element.numChildren} children`);
    const children: SchemaNode[] = [];
    for (let index = 0; index < element.numChildren; index += 1) children.push(this.#node(place, depth));
    const { name, fieldId } = element;
    return {
      kind: 'group',
      name,
      repetition,
      fieldId,
      annotation: groupAnnotation(element, repetition, children),
      children,
    };
  }

  #node(parent: Place, depth: number): SchemaNode {
    const element = this.#take();
    const { name, repetition, fieldId } = element;
    if (repetition === undefined) throw corrupt(`schema element ${name} is neither required, optional nor repeated`);
    const place = this.#placeBelow(parent, name, repetition);
    if (element.type === undefined) return this.#group(element, repetition, place, depth + 1);
    if (element.numChildren > 0) throw corrupt(`column ${name} has a type and children as well`);
    return { kind: 'leaf', name, repetition, fieldId, leaf: this.#leaf(element, element.type, place) };
  }

  #placeBelow(parent: Place, name: string, repetition: Repetition): Place {
    const path = [...parent.path, name];
    const joined = parent.path.length === 0 ? name : `${parent.name}.${name}`;
    this.#nameCharacters += joined.length;
    this.#pathParts += path.length;
    if (this.#nameCharacters > MAX_NAME_CHARACTERS || this.#pathParts > MAX_PATH_PARTS) {
      throw unsupported('the paths of the schema, written out, are too long to be kept');
    }
    return {
      path,
      name: joined,
      definitionLevel: parent.definitionLevel + (repetition === 'REQUIRED' ? 0 : 1),
      repetitionLevel: parent.repetitionLevel + (repetition === 'REPEATED' ? 1 : 0),
    };
  }

  #leaf(element: SchemaElement, physicalType: PhysicalType, place: Place): LeafColumn {
    const leaf: LeafColumn = {
      ordinal: this.#leaves.length,
      path: place.path,
      name: place.name,
      physicalType,
      typeLength: element.typeLength,
      logicalType: leafType(element.annotation),
      maxDefinitionLevel: place.definitionLevel,
      maxRepetitionLevel: place.repetitionLevel,
    };
    this.#leaves.push(leaf);
    return leaf;
  }
}

/** `annotationOf` lets no group's annotation stand on a column; this says so to the type checker. */
function leafType(annotation: Annotation): LogicalType {
  return annotation.kind === 'LIST' || annotation.kind === 'MAP' ? { kind: 'UNRECOGNISED' } : annotation;
}

/**
 * Older writers put MAP_KEY_VALUE on the repeated group inside a map as well as, by mistake, on the map itself. On the
 * repeated group it says nothing that the MAP around it does not; but a repeated group that holds a repeated group of
 * its own is itself a map, an element of a two-level list.
 */
function groupAnnotation(
  element: SchemaElement,
  repetition: Repetition,
  children: readonly SchemaNode[],
): SchemaGroup['annotation'] {
  const { kind } = element.annotation;
  if (kind === 'LIST' || kind === 'VARIANT') return kind;
  if (kind !== 'MAP') return 'NONE';
  const [child] = children;
  const holdsEntries = children.length === 1 && child?.kind === 'group' && child.repetition === 'REPEATED';
  return repetition !== 'REPEATED' || holdsEntries ? 'MAP' : 'NONE';
}
