/** From keys to the request that asks for them. */

import { ServiceError } from '../core/index.ts';
import type { HttpTarget } from './plan.ts';

export interface HttpCall {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
}

const JSON_HEADERS = { 'content-type': 'application/json' };

/** `batch` as in a plan: 0 for one key by itself. */
export function callWriter(target: HttpTarget, batch: number): (keys: readonly string[]) => HttpCall {
  return target.kind === 'table' ? tableCalls(target, batch) : templateCalls(target);
}

function tableCalls(
  { url, headers, columns, value }: Extract<HttpTarget, { kind: 'table' }>,
  batch: number,
): (keys: readonly string[]) => HttpCall {
  const path = new URL(url).pathname.replace(/\/$/, '');
  if (batch > 0) {
    const wanted = columns === undefined ? '' : `,"columns":${JSON.stringify(columns)}`;
    const all = { ...headers, ...JSON_HEADERS };
    return (keys) => ({
      method: 'POST',
      path: `${path}/lookup`,
      headers: all,
      body: `{"keys":[${keys.map(keyJson).join(',')}]${wanted}}`,
    });
  }
  const query = columns === undefined ? '' : `?columns=${columns.map(encodeURIComponent).join('&columns=')}`;
  const before = value === undefined ? `${path}/rows/` : `${path}/values/${encodeURIComponent(value)}/`;
  const after = value === undefined ? query : '';
  return ([key]) => ({ method: 'GET', path: `${before}${key}${after}`, headers, body: null });
}

function templateCalls({
  url,
  headers,
  body,
}: Extract<HttpTarget, { kind: 'template' }>): (keys: readonly string[]) => HttpCall {
  const start = startOf(url);
  if (/[{@]/.test(start)) {
    throw new ServiceError(
      'invalid',
      'usage',
      `${url} has {key} or a password before its path; only the path and query may vary`,
    );
  }
  const path = url.slice(start.length) || '/';
  const all = body === undefined ? headers : { ...JSON_HEADERS, ...headers };
  return (keys) => ({
    method: body === undefined ? 'GET' : 'POST',
    path: path.replaceAll('{key}', () => keys[0] ?? ''),
    headers: all,
    body:
      body === undefined
        ? null
        : body
            .replaceAll('{keys}', () => `[${keys.map(keyJson).join(',')}]`)
            .replaceAll('{key}', () => JSON.stringify(decodeURIComponent(keys[0] ?? ''))),
  });
}

/** Scheme, host and port as they are written. */
export function startOf(url: string): string {
  return /^https?:\/\/[^/?#]*/i.exec(url)?.[0] ?? '';
}

/** Strings, which are taken for keys of every type. */
function keyJson(path: string): string {
  if (!path.includes('/')) return JSON.stringify(decodeURIComponent(path));
  return JSON.stringify(path.split('/').map(decodeURIComponent));
}
