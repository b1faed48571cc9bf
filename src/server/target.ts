/**
 * The request target as it was sent.
 *
 * Composite keys are cut at the slashes of the raw path and only then percent-decoded: a router's wildcard decodes
 * first, and then a `%2F` inside a part looks like a cut. Node's parser has refused anything but ASCII before.
 */

import { ServiceError } from '../core/index.ts';

/** A key part of more bytes than this is refused. */
export const KEY_BYTES_MAX = 8 * 1024;

export interface Target {
  /** Raw parts of the path after the first `skipped` ones. */
  readonly parts: readonly string[];
  /** Raw, without the question mark. */
  readonly query: string;
}

/** The parts after `/v1/tables/{table}/rows/`, which are four parts to skip. */
export function readTarget(url: string, skipped: number): Target {
  if (url.includes('#')) {
    throw badUrl('a # in the URL is written %23, since clients cut the URL there');
  }
  const mark = url.indexOf('?');
  const path = mark < 0 ? url : url.slice(0, mark);
  let start = path.startsWith('/') ? 0 : afterAuthority(path);
  for (let slash = 0; slash < skipped; slash += 1) start = path.indexOf('/', start + 1);
  const rest = path.slice(start + 1);
  return { parts: rest.includes('/') ? rest.split('/') : [rest], query: mark < 0 ? '' : url.slice(mark + 1) };
}

/** Proxies may send the absolute form, `GET http://host/path`. */
function afterAuthority(url: string): number {
  return url.indexOf('/', url.indexOf('//') + 2);
}

export function decodePart(raw: string): string {
  if (!raw.includes('%')) return raw;
  try {
    return decodeURIComponent(raw);
  } catch {
    throw badUrl(`${JSON.stringify(raw.slice(0, 100))} is no percent-encoded UTF-8; write % itself as %25`);
  }
}

/** A decoded key part. Clients remove empty and dotted parts before they send, so that those could mean another key. */
export function decodeKeyPart(raw: string): string {
  const text = decodePart(raw);
  if (text === '' || text === '.' || text === '..') {
    const message = `the key part ${JSON.stringify(text)} does not survive in a URL; send it with POST to .../lookup`;
    throw new ServiceError('invalid', 'bad_key', message, { given: text });
  }
  if (text.length * 3 > KEY_BYTES_MAX && Buffer.byteLength(text) > KEY_BYTES_MAX) throw keyTooLong(text);
  return text;
}

export function keyTooLong(text: string): ServiceError {
  const bytes = Buffer.byteLength(text);
  const message = `a key part has ${bytes} bytes, but at most ${KEY_BYTES_MAX} are allowed`;
  return new ServiceError('tooLarge', 'key_too_long', message, { limit: KEY_BYTES_MAX, bytes });
}

function badUrl(message: string): ServiceError {
  return new ServiceError('invalid', 'bad_url', message);
}
