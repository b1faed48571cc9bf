/** A nested column in one JSON format: an assembly for each schema that the table's files have, made on first use. */

import type { FileMapping } from './file-mapping.ts';
import { type JsonOptions, jsonWriter } from './json-format.ts';
import { NestedAssembly } from './nested-json.ts';
import type { NestedType } from './nested-type.ts';

export class NestedWriter {
  readonly #ordinal: number;
  readonly #type: NestedType;
  readonly #json: JsonOptions;
  readonly #assemblies = new WeakMap<FileMapping, NestedAssembly>();

  /** `ordinal` is the table column's. Throws `unsupported` where a value in the column has no JSON form. */
  constructor(ordinal: number, type: NestedType, json: JsonOptions) {
    checkWritable(type, json);
    this.#ordinal = ordinal;
    this.#type = type;
    this.#json = json;
  }

  /** Undefined where files of this schema lack the column. */
  assemblyFor(mapping: FileMapping): NestedAssembly | undefined {
    const known = this.#assemblies.get(mapping);
    if (known !== undefined) return known;
    const shape = mapping.nested?.[this.#ordinal];
    if (shape === undefined) return undefined;
    const made = new NestedAssembly(shape, this.#type, this.#json);
    this.#assemblies.set(mapping, made);
    return made;
  }
}

function checkWritable(type: NestedType, json: JsonOptions): void {
  switch (type.kind) {
    case 'value':
      jsonWriter(type.leaf, json);
      break;
    case 'struct':
      for (const field of type.fields) checkWritable(field.type, json);
      break;
    case 'list':
      checkWritable(type.element, json);
      break;
    case 'map':
      checkWritable(type.key, json);
      checkWritable(type.value, json);
      break;
    case 'variant':
      break;
  }
}
