/**
 * Files on web servers: the key is the URL, and nothing is listed.
 *
 * A web server need not version what it serves, so what it says decides how a version is held: a strong ETag by
 * `If-Match`, else `Last-Modified` by `If-Unmodified-Since`, and the answer must name the same one again, since many
 * servers ignore both. With neither, an object has no version, and only who calls it immutable may read it. The rest of
 * an answer is trusted as little as S3's: a 206 with exactly the asked range of an object of exactly the known length.
 *
 * `head` is a GET of the first byte, since signed URLs allow nothing else; it also tells whether ranges are known at all.
 */

import { type ByteRange, type Clock, httpRange, rangeLength, ServiceError, systemClock } from '../core/index.ts';
import { assertRangeInside, type ObjectMeta, type ObjectStore, type RequestOptions } from './object-store.ts';

export interface HttpStoreOptions {
  readonly clock?: Clock;
  /** From sending a request to the last byte of its answer. */
  readonly requestTimeoutMs?: number;
}

/** The version of an object whose server names none. */
export const NO_VERSION = '';

const REQUEST_TIMEOUT_MS = 10_000;
const LAST_MODIFIED = 'last-modified ';

interface Answered {
  readonly version: string;
  readonly range: ByteRange;
  readonly sizeBytes: number;
}

export class HttpStore implements ObjectStore {
  readonly kind = 'http';
  readonly cheapReads = false;
  readonly #clock: Clock;
  readonly #timeoutMs: number;

  constructor({ clock = systemClock, requestTimeoutMs = REQUEST_TIMEOUT_MS }: HttpStoreOptions = {}) {
    this.#clock = clock;
    this.#timeoutMs = requestTimeoutMs;
  }

  head(key: string, options: RequestOptions = {}): Promise<ObjectMeta> {
    return this.#request(key, { range: 'bytes=0-0' }, options, async (response) => {
      await response.body?.cancel();
      if (response.status === 404 || response.status === 410) {
        const message = `there is nothing at ${shown(key)}; check the URL`;
        throw new ServiceError('notFound', 'object_not_found', message, { key: shown(key) });
      }
      const emptyObject = response.status === 416 && response.headers.get('content-range') === 'bytes */0';
      if (emptyObject) return { key, sizeBytes: 0, eTag: versionOf(response.headers) };
      if (response.status === 200) {
        const message = `${shown(key)} is served without ranges (200 to a ranged GET); put it on a server that knows them`;
        throw new ServiceError('unavailable', 'ranges_unsupported', message, { key: shown(key) });
      }
      const { version, sizeBytes } = answered(response, key);
      return { key, sizeBytes, eTag: version };
    });
  }

  getRange(object: ObjectMeta, range: ByteRange, options: RequestOptions = {}): Promise<Uint8Array> {
    assertRangeInside(object, range);
    const headers = { range: httpRange(range), ...condition(object.eTag) };
    return this.#request(object.key, headers, options, async (response) => {
      try {
        checkRange(response, object, range);
        const bytes = await readExactly(response, object, rangeLength(range));
        options.account?.received(bytes.length);
        return bytes;
      } finally {
        if (!response.bodyUsed) await response.body?.cancel();
      }
    });
  }

  /** A web server has no listing: whoever names a URL names one file. */
  async *list(): AsyncIterable<ObjectMeta> {}

  async close(): Promise<void> {}

  /** One HTTP request under the caller's signal and the time limit, its failure in our words. */
  async #request<T>(
    key: string,
    headers: Readonly<Record<string, string>>,
    { signal, account }: RequestOptions,
    answer: (response: Response) => Promise<T>,
  ): Promise<T> {
    signal?.throwIfAborted();
    const attempt = new AbortController();
    const done = new AbortController();
    const onAbort = () => attempt.abort(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#clock.sleep(this.#timeoutMs, done.signal).then(
      () => attempt.abort(passing('request_timeout', `${shown(key)} did not answer within ${this.#timeoutMs} ms`, key)),
      () => undefined,
    );
    try {
      account?.sent('free');
      // With a range `fetch` itself asks for `identity`: a compressed answer would have other ranges.
      return await answer(await fetch(key, { headers, signal: attempt.signal }));
    } catch (error) {
      if (attempt.signal.aborted) throw attempt.signal.reason;
      throw httpError(error, key);
    } finally {
      signal?.removeEventListener('abort', onAbort);
      done.abort();
    }
  }
}

/** A weak ETag promises no equal bytes. */
function versionOf(headers: Headers): string {
  const eTag = headers.get('etag');
  if (eTag?.startsWith('"')) return eTag;
  const modified = headers.get('last-modified');
  return modified === null ? NO_VERSION : `${LAST_MODIFIED}${modified}`;
}

/** The same once more as `If-Range` for servers that know only that: they answer 200 when the version is another. */
function condition(version: string): Readonly<Record<string, string>> {
  if (version === NO_VERSION) return {};
  if (version.startsWith(LAST_MODIFIED)) return { 'if-unmodified-since': version.slice(LAST_MODIFIED.length) };
  return { 'if-match': version, 'if-range': version };
}

function checkRange(response: Response, object: ObjectMeta, range: ByteRange): void {
  const { status, headers } = response;
  const isChanged = status === 412 || status === 416 || status === 404 || status === 410;
  if (isChanged || (response.ok && versionOf(headers) !== object.eTag)) throw changed(object);
  const found = answered(response, object.key);
  if (found.sizeBytes !== object.sizeBytes) throw changed(object);
  if (found.range.start !== range.start || found.range.end !== range.end) {
    throw badAnswer(`its Content-Range is ${headers.get('content-range')}, not the range asked for`, object.key);
  }
}

/** What a 206 says of itself; throws for any other answer. */
function answered({ status, headers }: Response, key: string): Answered {
  if (status === 401 || status === 403) {
    const message = `${shown(key)} is refused (${status}); check that the URL may be read and, if it is signed, has not expired`;
    throw new ServiceError('unavailable', 'access_denied', message, { key: shown(key), status });
  }
  if (status >= 500 || status === 429 || status === 408)
    throw passing('unavailable', `${shown(key)} answered ${status}`, key);
  if (status === 200) throw badAnswer('it answered 200 to a ranged GET, not 206', key);
  if (status !== 206) {
    throw new ServiceError('unavailable', 'unavailable', `${shown(key)} answered ${status}, not 206`, {
      key: shown(key),
      status,
    });
  }
  const encoding = headers.get('content-encoding');
  if (encoding !== null && encoding !== 'identity') throw badAnswer(`its Content-Encoding is ${encoding}`, key);
  const [, start, last, size] =
    /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(headers.get('content-range') ?? '') ?? [];
  if (size === undefined) throw badAnswer(`its Content-Range is ${headers.get('content-range')}`, key);
  return {
    version: versionOf(headers),
    range: { start: Number(start), end: Number(last) + 1 },
    sizeBytes: Number(size),
  };
}

async function readExactly(response: Response, { key }: ObjectMeta, lengthBytes: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(lengthBytes);
  let filled = 0;
  for await (const chunk of response.body ?? []) {
    if (filled + chunk.length > lengthBytes) throw badAnswer(`its body is longer than ${lengthBytes} bytes`, key);
    bytes.set(chunk, filled);
    filled += chunk.length;
  }
  if (filled < lengthBytes) throw badAnswer(`its body ended after ${filled} of ${lengthBytes} bytes`, key);
  return bytes;
}

function changed({ key, eTag }: ObjectMeta): ServiceError {
  const message = `${shown(key)} is another version or gone; open it again and read the new version`;
  return new ServiceError('changed', 'changed', message, { key: shown(key), eTag });
}

function badAnswer(what: string, key: string): ServiceError {
  return passing('bad_response', `${shown(key)} answered wrongly: ${what}`, key);
}

/** Worth another try. */
function passing(code: string, message: string, key: string, cause?: unknown): ServiceError {
  return new ServiceError('unavailable', code, message, { key: shown(key), retryable: true }, cause);
}

/** `fetch` throws a TypeError for whatever fails below HTTP, and says what in its cause. */
function httpError(thrown: unknown, key: string): ServiceError {
  if (thrown instanceof ServiceError) return thrown;
  const cause = thrown instanceof Error ? thrown.cause : undefined;
  const reason = cause instanceof Error ? cause.message : String(thrown);
  const errno = (cause as { readonly code?: unknown } | undefined)?.code;
  if (errno === 'ENOTFOUND' || String(errno).startsWith('ERR_TLS') || String(errno).includes('CERT')) {
    const message = `${shown(key)} cannot be reached: ${reason}; check the host and its certificate`;
    return new ServiceError('unavailable', 'unavailable', message, { key: shown(key) }, thrown);
  }
  return passing('unavailable', `${shown(key)} could not be read: ${reason}`, key, thrown);
}

/** Without user and query, which may hold a signature that should not be shown. */
function shown(key: string): string {
  const url = new URL(key);
  return `${url.origin}${url.pathname}`;
}
