/**
 * A VARIANT column put together: the binary value, what its writer shredded of it into columns of their own, or both.
 *
 * https://github.com/apache/parquet-format/blob/master/VariantShredding.md
 *
 *     value   typed_value
 *     null    null           nothing: a field that is not there; on its own, the variant null
 *     set     null           the binary value
 *     null    set            the shredded value
 *     set     set            an object, partly shredded: the fields of both
 */

import type { LeafColumn, ValueShape, VariantContent, VariantShape, VariantTyped } from '../parquet/index.ts';
import type { JsonOptions } from './json-format.ts';
import { goOn, type LeafCursor, skip, type Write } from './leaf-cursor.ts';
import { valueLeaf } from './nested-type.ts';
import { objectText, VariantMetadata, variantFields, variantText } from './variant-value.ts';

/** What compiles the column around the variant. */
export interface LeafCompiler {
  readonly json: JsonOptions;
  cursors(leaves: readonly LeafColumn[]): readonly LeafCursor[];
  compile(shape: ValueShape, type: { readonly kind: 'value'; readonly leaf: LeafColumn }, outerLevel: number): Write;
}

/** Undefined where there is nothing. */
type VariantWrite = (metadata: VariantMetadata) => string | undefined;
/** The shredded part; `fields` are those of the binary part of an object. */
type TypedWrite = (metadata: VariantMetadata, fields: ReadonlyMap<string, string> | undefined) => string;

export function variantWrite(compiler: LeafCompiler, shape: VariantShape, outerLevel: number): Write {
  const cursors = compiler.cursors(shape.leaves);
  const [metadata] = compiler.cursors(shape.metadata.leaves) as [LeafCursor];
  const content = contentWrite(compiler, shape.content, shape.presentLevel);
  return () => {
    const level = metadata.level();
    if (level < shape.presentLevel) return skip(cursors, level, outerLevel, 'null');
    const names = new VariantMetadata(metadata.block.bytesAt(metadata.entry));
    metadata.entry += 1;
    return content(names) ?? 'null';
  };
}

function contentWrite(compiler: LeafCompiler, content: VariantContent, outerLevel: number): VariantWrite {
  const value = content.value && binaryRead(compiler, content.value, outerLevel);
  const typed = content.typed;
  if (typed === undefined) {
    return (metadata) => {
      const bytes = value?.();
      return bytes && variantText(bytes, metadata, compiler.json);
    };
  }
  const cursors = compiler.cursors(typed.leaves);
  const [first] = cursors as [LeafCursor];
  const write = typedWrite(compiler, typed);
  return (metadata) => {
    const bytes = value?.();
    const level = first.level();
    if (level < typed.presentLevel) {
      skip(cursors, level, outerLevel, '');
      return bytes && variantText(bytes, metadata, compiler.json);
    }
    if (bytes === undefined) return write(metadata, undefined);
    const fields = typed.kind === 'struct' ? variantFields(bytes, metadata, compiler.json) : undefined;
    if (fields === undefined) throw first.fault('say that a variant is shredded whose value is no object');
    return write(metadata, fields);
  };
}

/** The bytes of `value`, undefined where it is null. */
function binaryRead(compiler: LeafCompiler, { leaves, presentLevel }: ValueShape, outerLevel: number) {
  const [cursor] = compiler.cursors(leaves) as [LeafCursor];
  return (): Uint8Array | undefined => {
    const level = cursor.level();
    if (level < outerLevel) throw cursor.fault('say that something is null which is not');
    const bytes = level < presentLevel ? undefined : cursor.block.bytesAt(cursor.entry);
    cursor.entry += 1;
    return bytes;
  };
}

function typedWrite(compiler: LeafCompiler, typed: VariantTyped): TypedWrite {
  if (typed.kind === 'value') {
    return compiler.compile(typed, { kind: 'value', leaf: valueLeaf(typed.leaf) }, typed.presentLevel);
  }
  return typed.kind === 'list' ? listWrite(compiler, typed) : structWrite(compiler, typed);
}

function listWrite(compiler: LeafCompiler, list: VariantTyped & { readonly kind: 'list' }): TypedWrite {
  const cursors = compiler.cursors(list.leaves);
  const [first] = cursors as [LeafCursor];
  const element = contentWrite(compiler, list.element, list.elementLevel);
  return (metadata) => {
    const level = first.level();
    if (level < list.elementLevel) return skip(cursors, level, list.presentLevel, '[]');
    let text = `[${element(metadata) ?? 'null'}`;
    while (goOn(cursors, list.repetitionLevel)) text += `,${element(metadata) ?? 'null'}`;
    return `${text}]`;
  };
}

function structWrite(compiler: LeafCompiler, struct: VariantTyped & { readonly kind: 'struct' }): TypedWrite {
  const fields = struct.fields.map(({ name, content }) => ({
    name,
    write: contentWrite(compiler, content, struct.presentLevel),
  }));
  return (metadata, others) => {
    const texts = new Map(others);
    for (const { name, write } of fields) {
      const text = write(metadata);
      if (text === undefined) continue;
      texts.set(name, text);
    }
    return objectText(texts);
  };
}
