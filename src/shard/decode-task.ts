/** What crosses to a decode thread and back: plain data and transferred buffers, errors as plain objects. */

import { asServiceError, type PlainError } from '../core/index.ts';
import { type DecodedPage, decodeDataPage, decodeDictionaryPage, type PageContext } from '../parquet/index.ts';

export interface DecodeTask {
  readonly kind: 'data' | 'dictionary';
  /** Page header and body. */
  readonly page: Uint8Array;
  readonly context: PageContext;
}

export type DecodeResult =
  | { readonly ok: true; readonly decoded: DecodedPage }
  | { readonly ok: false; readonly error: PlainError };

/** Decodes a page where it is called. A dictionary comes back as a page of one block. */
export function decodeHere(task: DecodeTask): DecodedPage {
  if (task.kind === 'data') return decodeDataPage(task.page, task.context);
  const block = decodeDictionaryPage(task.page, task.context);
  return { rows: task.context.dictionaryRows ?? 0, shift: 31, blocks: [block] };
}

/** The same with faults as data, for the far side of a thread boundary. */
export function decodeToResult(task: DecodeTask): DecodeResult {
  try {
    return { ok: true, decoded: decodeHere(task) };
  } catch (thrown) {
    return { ok: false, error: asServiceError(thrown).toPlain() };
  }
}
