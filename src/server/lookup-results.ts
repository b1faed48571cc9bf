/** The results of a batch as JSON, each with the key as the caller wrote it. */

import { ServiceError } from '../core/index.ts';
import type { LookupAnswer, LookupItem } from '../shard/index.ts';
import { ExactNumber } from '../table/index.ts';
import { itemWithValueUrl } from './large-value.ts';
import type { LookupRequest } from './lookup-body.ts';
import { itemErrorJson } from './problem.ts';
import { readKey } from './table-lookup.ts';

/** `"results":[..]`; throws where the text would have more characters. */
export function resultsJson(
  { keys, matches }: LookupRequest,
  { items, snapshot }: LookupAnswer,
  charactersMax: number,
): string {
  let json = '"results":[';
  for (let i = 0; i < items.length; i++) {
    const plain = items[i] as LookupItem;
    // Keys are read again here only for values too large for their rows, which are few.
    const item =
      matches === 'first' && 'error' in plain ? itemWithValueUrl(plain, snapshot, readKey(snapshot, keys[i])) : plain;
    json += i === 0 ? '{"key":' : ',{"key":';
    json += echoJson(keys[i]) + itemJson(item);
    if (json.length > charactersMax) throw tooLargeAnswer(charactersMax);
  }
  return `${json}]`;
}

/** The rest of a result after its key. */
function itemJson(item: LookupItem): string {
  if ('row' in item) return `,"status":"found","row":${item.row}}`;
  if ('rows' in item) {
    return `,"status":"found","rows":[${item.rows.join(',')}]${item.truncated ? ',"truncated":true}' : '}'}`;
  }
  const error = 'error' in item ? `,"error":${itemErrorJson(item.error)}` : '';
  return `,"status":"${item.status}"${error}}`;
}

/** The caller's key with its numbers as they were written. */
function echoJson(given: unknown): string {
  if (typeof given === 'number') return `${given}`;
  if (given instanceof ExactNumber) return given.source;
  if (Array.isArray(given)) return `[${given.map(echoJson).join(',')}]`;
  if (typeof given === 'object' && given !== null) {
    return `{${Object.entries(given)
      .map(([name, value]) => `${JSON.stringify(name)}:${echoJson(value)}`)
      .join(',')}}`;
  }
  return JSON.stringify(given);
}

export function tooLargeAnswer(charactersMax: number): ServiceError {
  const message = `the answer has more than ${charactersMax} characters; ask for fewer keys, columns or rows a key`;
  return new ServiceError('tooLarge', 'answer_too_large', message, { limit: charactersMax });
}
