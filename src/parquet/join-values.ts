/**
 * Values of several pages as if they had been of one. A chunk may begin with dictionary codes and go on with plain
 * values once its dictionary is full; then the codes are replaced by what they stand for.
 */

import { corrupt } from '../core/index.ts';
import type { Block } from './block.ts';
import type { BytesValues, CodeValues, DenseValues, FixedValues } from './encodings/dense-values.ts';
import { checkDecodedBytes, type PageContext } from './page-body.ts';
import { emptyValues } from './page-values.ts';

/** `dictionary` is needed only where codes and values mix. At least one part. */
export function joinValues(
  parts: readonly DenseValues[],
  context: PageContext,
  dictionary: Block | undefined,
): DenseValues {
  const filled = parts.filter((part) => part.count > 0);
  const [first] = filled;
  if (first === undefined) return emptyValues(context.leaf);
  if (filled.length === 1) return first;
  const codes = filled.filter((part) => part.kind === 'CODES');
  if (codes.length === filled.length) return joinCodes(codes);
  if (context.leaf.physicalType === 'BYTE_ARRAY') return joinBytes(filled, context, dictionary);
  return joinFixed(filled, context, dictionary);
}

function countOf(parts: readonly DenseValues[]): number {
  return parts.reduce((count, part) => count + part.count, 0);
}

function joinCodes(parts: readonly CodeValues[]): CodeValues {
  const codes = new Uint32Array(countOf(parts));
  let done = 0;
  for (const part of parts) {
    codes.set(part.codes.subarray(0, part.count), done);
    done += part.count;
  }
  return { kind: 'CODES', count: codes.length, codes, dictionaryRows: parts[0]!.dictionaryRows };
}

function joinFixed(parts: readonly DenseValues[], context: PageContext, dictionary: Block | undefined): FixedValues {
  const width = parts.reduce((known, part) => (part.kind === 'FIXED' ? part.width : known), 0);
  const count = countOf(parts);
  checkDecodedBytes(count * width, context);
  const data = new Uint8Array(count * width);
  let at = 0;
  for (const part of parts) {
    if (part.kind === 'FIXED') data.set(part.data.subarray(0, part.count * width), at);
    else if (part.kind === 'CODES') {
      const entries = entriesOf(dictionary, context).bytes();
      for (let i = 0, to = at; i < part.count; i += 1) {
        const from = part.codes[i]! * width;
        for (let k = 0; k < width; k += 1) data[to++] = entries[from + k]!;
      }
    }
    at += part.count * width;
  }
  return { kind: 'FIXED', count, width, data };
}

function joinBytes(parts: readonly DenseValues[], context: PageContext, dictionary: Block | undefined): BytesValues {
  const count = countOf(parts);
  const offsets = joinedOffsets(parts, count, context, dictionary);
  const data = new Uint8Array(offsets[count]!);
  let value = 0;
  for (const part of parts) {
    if (part.kind === 'FIXED') continue;
    for (let i = 0; i < part.count; i += 1, value += 1) {
      if (part.kind === 'CODES') data.set(entriesOf(dictionary, context).bytesAt(part.codes[i]!), offsets[value]);
      else data.set(part.data.subarray(part.offsets[i]!, part.offsets[i + 1]! - part.gap), offsets[value]);
    }
  }
  return { kind: 'BYTES', count, data, offsets, gap: 0 };
}

/** Few codes can stand for many bytes, so their sum is bounded before they are copied. */
function joinedOffsets(
  parts: readonly DenseValues[],
  count: number,
  context: PageContext,
  dictionary: Block | undefined,
): Uint32Array {
  const offsets = new Uint32Array(count + 1);
  let value = 0;
  let total = 0;
  for (const part of parts) {
    if (part.kind === 'FIXED') continue;
    for (let i = 0; i < part.count; i += 1) {
      total +=
        part.kind === 'CODES'
          ? entriesOf(dictionary, context).byteLengthAt(part.codes[i]!)
          : part.offsets[i + 1]! - part.offsets[i]! - part.gap;
      value += 1;
      offsets[value] = total;
    }
    checkDecodedBytes(total, context);
  }
  return offsets;
}

function entriesOf(dictionary: Block | undefined, { leaf }: PageContext): Block {
  if (dictionary !== undefined) return dictionary;
  throw corrupt(`column ${leaf.name} mixes codes and values, but the chunk has no dictionary to read the codes by`);
}
