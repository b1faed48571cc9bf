/**
 * A client for Pointlake's HTTP interface, over `fetch`.
 *
 * Small on purpose: it writes keys exactly, reads integers exactly, turns problem+json into one typed error, and takes
 * the body instead of the URL for keys that a URL cannot carry. It retries nothing: `PointlakeError` says what may help.
 */

import { type ErrorFields, PointlakeError } from './error.ts';
import { type Int64Form, parseJson, writeKey, writeKeyJson } from './json.ts';

export type KeyPart = string | number | bigint | boolean;
/** One part, or the parts of a composite key in order. */
export type ClientKey = KeyPart | readonly KeyPart[];

export type Row = Readonly<Record<string, unknown>>;

export interface ClientOptions {
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /**
   * How 64-bit integers come back. `exact` (the default): a number where it holds the integer, else a bigint. `string`:
   * every 64-bit column as strings, so that its type does not depend on the value. `number`: rounded as `JSON.parse` does.
   */
  readonly int64?: Int64Form;
  /** For tests and for runtimes with another one. */
  readonly fetch?: typeof globalThis.fetch;
}

export interface RequestOptions {
  /** The server answers `timeout` when it has no answer by then. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** NaN and infinities as strings instead of null. */
  readonly nonfinite?: 'null' | 'string';
}

export interface RowOptions extends RequestOptions {
  readonly columns?: readonly string[];
}

export interface LookupRequestOptions extends RowOptions {
  readonly matches?: 'first' | 'all';
  /** Rows a key with `matches: 'all'`. */
  readonly limit?: number;
}

export type LookupResult<R = Row> =
  | { readonly key: unknown; readonly status: 'found'; readonly row: R }
  | { readonly key: unknown; readonly status: 'found'; readonly rows: readonly R[]; readonly truncated?: true }
  | { readonly key: unknown; readonly status: 'not_found' | 'timeout' }
  | { readonly key: unknown; readonly status: 'not_covered' | 'error'; readonly error: ErrorFields };

export interface TableSummary {
  readonly name: string;
  readonly status: 'serving' | 'loading' | 'error';
  readonly key: readonly string[];
  readonly rows?: number;
  readonly files?: unknown;
  readonly snapshot?: { readonly id: string; readonly created_at: string; readonly age_seconds: number };
  readonly error?: ErrorFields;
}

export interface TableDescription extends TableSummary {
  readonly columns?: readonly { readonly name: string; readonly type: string; readonly key?: true }[];
  readonly examples?: readonly { readonly path: string; readonly curl: string }[];
}

/** Above this a URL may be too long for what stands between, so that the key goes into a body. */
const PATH_CHARACTERS_MAX = 8_000;

export class PointlakeClient {
  readonly #base: string;
  readonly #options: ClientOptions;
  readonly #fetch: typeof globalThis.fetch;

  constructor(baseUrl: string, options: ClientOptions = {}) {
    this.#base = baseUrl.replace(/\/+$/, '');
    this.#options = options;
    this.#fetch = options.fetch ?? globalThis.fetch;
  }

  async tables(options: RequestOptions = {}): Promise<readonly TableSummary[]> {
    const answer = await this.#send('/v1/tables', options);
    return ((await this.#json(answer)) as { readonly tables: readonly TableSummary[] }).tables;
  }

  async table(name: string, options: RequestOptions = {}): Promise<TableDescription> {
    return (await this.#json(await this.#send(tablePath(name), options))) as TableDescription;
  }

  /** The row, or undefined when the key is provably absent. */
  async row<R = Row>(table: string, key: ClientKey, options: RowOptions = {}): Promise<R | undefined> {
    const path = keyPath(key);
    if (path === undefined) return this.#rowByBody<R>(table, key, options);
    const query = this.#query(options, options.columns);
    const answer = await this.#find(`${tablePath(table)}/rows/${path}${query}`, options);
    return answer === undefined ? undefined : ((await this.#json(answer)) as R);
  }

  /**
   * One value on its own: a string for text, bytes for binary, else what its JSON says; null for null, undefined when
   * the key is provably absent.
   */
  async value(table: string, column: string, key: ClientKey, options: RequestOptions = {}): Promise<unknown> {
    const path = keyPath(key);
    if (path === undefined) {
      throw new TypeError('this key does not fit in a URL, and values are asked for by URL: use row() with its column');
    }
    const target = `${tablePath(table)}/values/${encodeURIComponent(column)}/${path}${this.#query(options)}`;
    const answer = await this.#find(target, options);
    if (answer === undefined) return undefined;
    if (answer.status === 204) return null;
    const type = answer.headers.get('content-type') ?? '';
    if (type.startsWith('text/')) return answer.text();
    if (type.startsWith('application/octet-stream')) return new Uint8Array(await answer.arrayBuffer());
    return this.#json(answer);
  }

  /** Many keys in one request; the results are in the order of the keys. One bad key spoils no other. */
  async lookup<R = Row>(
    table: string,
    keys: readonly ClientKey[],
    options: LookupRequestOptions = {},
  ): Promise<readonly LookupResult<R>[]> {
    const { columns, matches, limit } = options;
    const fields = JSON.stringify({ columns, matches, limit }).slice(1);
    const body = `{"keys":[${keys.map(writeKeyJson).join(',')}]${fields === '}' ? '' : ','}${fields}`;
    const answer = await this.#send(`${tablePath(table)}/lookup${this.#query(options)}`, options, body);
    return ((await this.#json(answer)) as { readonly results: readonly LookupResult<R>[] }).results;
  }

  async #rowByBody<R>(table: string, key: ClientKey, options: RowOptions): Promise<R | undefined> {
    const [result] = await this.lookup<R>(table, [key], options);
    if (result !== undefined && 'row' in result) return result.row;
    if (result?.status === 'not_found') return undefined;
    throw PointlakeError.ofResult(result !== undefined && 'error' in result ? result.error : undefined);
  }

  #query(options: RequestOptions, columns?: readonly string[]): string {
    const parameters = new URLSearchParams();
    for (const column of columns ?? []) parameters.append('columns', column);
    // Repeated, a value is a whole name even when it has commas; an empty one more asks for nothing.
    if (columns !== undefined && columns.length < 2) parameters.append('columns', '');
    if (this.#options.int64 === 'string') parameters.set('int64', 'string');
    if (options.nonfinite !== undefined) parameters.set('nonfinite', options.nonfinite);
    return parameters.size === 0 ? '' : `?${parameters}`;
  }

  /** Undefined for a key that is provably absent; every other refusal throws. */
  async #find(path: string, options: RequestOptions): Promise<Response | undefined> {
    try {
      return await this.#send(path, options);
    } catch (thrown) {
      if (thrown instanceof PointlakeError && thrown.code === 'key_not_found') return undefined;
      throw thrown;
    }
  }

  async #send(path: string, { timeoutMs, signal }: RequestOptions, body?: string): Promise<Response> {
    const headers = new Headers(this.#options.headers);
    if (timeoutMs !== undefined) headers.set('pointlake-timeout-ms', String(timeoutMs));
    if (body !== undefined) headers.set('content-type', 'application/json');
    const answer = await this.#fetch(this.#base + path, {
      headers,
      ...(body === undefined ? {} : { method: 'POST', body }),
      ...(signal === undefined ? {} : { signal }),
    });
    if (answer.ok) return answer;
    throw await PointlakeError.ofResponse(answer);
  }

  async #json(answer: Response): Promise<unknown> {
    return parseJson(await answer.text(), this.#options.int64 ?? 'exact');
  }
}

function tablePath(name: string): string {
  return `/v1/tables/${encodeURIComponent(name)}`;
}

/** Undefined for keys that a URL cannot carry: clients remove empty and dotted parts, and very long URLs are cut. */
function keyPath(key: ClientKey): string | undefined {
  const parts = (Array.isArray(key) ? (key as readonly KeyPart[]) : [key as KeyPart]).map(writeKey);
  if (parts.some((part) => part === '' || part === '.' || part === '..' || !part.isWellFormed())) return undefined;
  const path = parts.map(encodeURIComponent).join('/');
  return path.length > PATH_CHARACTERS_MAX ? undefined : path;
}
