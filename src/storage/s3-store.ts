/**
 * One bucket of S3, or of a server that speaks as S3 does.
 *
 * Nothing in an answer is taken on trust: every ranged GET carries `If-Match` and the answer must be a 206 with that
 * ETag, exactly the asked `Content-Range` and exactly as many bytes, read into a buffer of that size and no further.
 * An answer that fails in any of this is thrown away whole; stitching two together could mix two versions.
 */

import { Readable } from 'node:stream';
import type { GetObjectCommandOutput, ListObjectsV2CommandOutput } from '@aws-sdk/client-s3';
import { assert, type ByteRange, httpRange, rangeLength, ServiceError } from '../core/index.ts';
import { compareKeys } from './key-order.ts';
import {
  assertRangeInside,
  type ListOptions,
  type ObjectMeta,
  type ObjectStore,
  type RequestOptions,
} from './object-store.ts';
import type { S3Attempt, S3Connection } from './s3-connection.ts';
import { badResponse, isChanged, isMissing, requestTimedOut, s3Error, s3Uri } from './s3-errors.ts';

/** Why a time limit no longer counts; one for all, since making an error costs more than the limit. */
const DONE = new Error('the request is over');

type Loaded = Awaited<ReturnType<S3Connection['use']>>;

export class S3Store implements ObjectStore {
  readonly kind = 's3';
  readonly cheapReads = false;
  readonly bucket: string;
  readonly endpoint: string;
  readonly #connection: S3Connection;
  readonly #payer: { readonly RequestPayer?: 'requester' };
  #closed = false;

  /** The connection may serve other buckets too, so closing this store leaves it open. */
  constructor(connection: S3Connection, bucket: string) {
    this.#connection = connection;
    this.bucket = bucket;
    this.endpoint = connection.endpoint;
    this.#payer = connection.requesterPays ? { RequestPayer: 'requester' } : {};
  }

  head(key: string, options: RequestOptions = {}): Promise<ObjectMeta> {
    return this.#attempt('head', key, options, async ({ sdk, client }, abortSignal) => {
      try {
        const answer = await client.send(new sdk.HeadObjectCommand({ Bucket: this.bucket, Key: key, ...this.#payer }), {
          abortSignal,
        });
        return this.#meta(key, answer.ContentLength, answer.ETag);
      } catch (error) {
        if (!isMissing(error)) throw error;
        options.account?.sent('get');
        await this.#requireBucket({ sdk, client }, abortSignal);
        const message = `there is no object ${s3Uri(this, key)}; check the key`;
        throw new ServiceError('notFound', 'object_not_found', message, { bucket: this.bucket, key }, error);
      }
    });
  }

  getRange(object: ObjectMeta, range: ByteRange, options: RequestOptions = {}): Promise<Uint8Array> {
    assertRangeInside(object, range);
    const { key, eTag } = object;
    return this.#attempt('get', key, options, async ({ sdk, client }, abortSignal) => {
      const input = { Bucket: this.bucket, Key: key, Range: httpRange(range), IfMatch: eTag, ...this.#payer };
      try {
        const answer = await client.send(new sdk.GetObjectCommand(input), { abortSignal });
        const bytes = await this.#readBody(answer, object, range, abortSignal);
        options.account?.received(bytes.length);
        return bytes;
      } catch (error) {
        throw isChanged(error) ? this.#changed(object, error) : error;
      }
    });
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncIterable<ObjectMeta> {
    let last = options.startAfter;
    let continuation: string | undefined;
    do {
      const page = await this.#listPage(prefix, last, continuation, options);
      for (const object of page.objects) {
        // S3 Express buckets list in no order, and a broken server may repeat a page for ever.
        if (last !== undefined && compareKeys(object.key, last) <= 0) throw this.#outOfOrder(prefix, last, object.key);
        last = object.key;
        yield object;
      }
      continuation = page.continuation;
    } while (continuation !== undefined);
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  /** One HTTP request under the caller's signal and the time limit, its failure in our words. */
  async #attempt<T>(
    op: S3Attempt['op'],
    key: string,
    { signal, account }: RequestOptions,
    request: (loaded: Loaded, abortSignal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    signal?.throwIfAborted();
    assert(!this.#closed, `the store of bucket ${this.bucket} is closed`);
    const { requestTimeoutMs, clock } = this.#connection;
    const attempt = new AbortController();
    const done = new AbortController();
    const onAbort = () => attempt.abort(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    clock.sleep(requestTimeoutMs, done.signal).then(
      () => attempt.abort(requestTimedOut(requestTimeoutMs, this, key)),
      () => undefined,
    );
    try {
      const loaded = await this.#connection.use();
      this.#connection.onAttempt({ op, bucket: this.bucket, key });
      account?.sent(op === 'list' ? 'list' : 'get');
      return await request(loaded, attempt.signal);
    } catch (error) {
      if (attempt.signal.aborted) throw attempt.signal.reason;
      throw s3Error(error, this, key);
    } finally {
      signal?.removeEventListener('abort', onAbort);
      done.abort(DONE);
    }
  }

  #meta(key: string, sizeBytes: number | undefined, eTag: string | undefined): ObjectMeta {
    if (sizeBytes === undefined || !Number.isSafeInteger(sizeBytes) || sizeBytes < 0) {
      throw badResponse(`it gave no valid size (${sizeBytes})`, this, key);
    }
    if (!eTag) throw badResponse('it gave no ETag, so that no version can be held', this, key);
    return { key, sizeBytes, eTag: eTag.startsWith('"') ? eTag : `"${eTag}"` };
  }

  /** HEAD answers have no body, so a missing bucket looks like a missing key until it is asked for itself. */
  async #requireBucket({ sdk, client }: Loaded, abortSignal: AbortSignal): Promise<void> {
    this.#connection.onAttempt({ op: 'headBucket', bucket: this.bucket, key: '' });
    try {
      await client.send(new sdk.HeadBucketCommand({ Bucket: this.bucket }), { abortSignal });
    } catch (error) {
      if (isMissing(error)) throw Object.assign(new Error('HeadBucket answered 404'), { name: 'NoSuchBucket' });
      // Without the right to ask, the object's own 404 is all that is known.
    }
  }

  async #readBody(
    answer: GetObjectCommandOutput,
    object: ObjectMeta,
    range: ByteRange,
    abortSignal: AbortSignal,
  ): Promise<Uint8Array> {
    const body = answer.Body;
    assert(body instanceof Readable, 'the SDK answers a GET with a Node stream');
    try {
      this.#checkHead(answer, object, range);
      return await readExactly(body, rangeLength(range), abortSignal, (what) => badResponse(what, this, object.key));
    } finally {
      // After a complete read the socket is back in the pool and this does nothing.
      if (!body.readableEnded) body.destroy();
    }
  }

  #checkHead(answer: GetObjectCommandOutput, object: ObjectMeta, range: ByteRange): void {
    const { key, sizeBytes } = object;
    if (!answer.ETag) throw badResponse('it gave no ETag, so that no version can be held', this, key);
    if (this.#meta(key, sizeBytes, answer.ETag).eTag !== object.eTag) throw this.#changed(object, undefined);
    const status = answer.$metadata.httpStatusCode;
    const wholeObject = rangeLength(range) === sizeBytes;
    if (status === 200 && wholeObject && answer.ContentLength === sizeBytes) return;
    if (status !== 206) throw badResponse(`it answered ${status} to a ranged GET, not 206`, this, key);
    const expected = `bytes ${range.start}-${range.end - 1}/`;
    if (answer.ContentRange !== `${expected}${sizeBytes}` && answer.ContentRange !== `${expected}*`) {
      throw badResponse(`its Content-Range is ${answer.ContentRange}, not ${expected}${sizeBytes}`, this, key);
    }
    if (answer.ContentLength !== undefined && answer.ContentLength !== rangeLength(range)) {
      throw badResponse(`its Content-Length is ${answer.ContentLength}, not ${rangeLength(range)}`, this, key);
    }
  }

  #changed({ key, eTag }: ObjectMeta, cause: unknown): ServiceError {
    const message = `${s3Uri(this, key)} is another version or gone, since it was listed; list again and read the new version`;
    return new ServiceError('changed', 'changed', message, { bucket: this.bucket, key, eTag }, cause);
  }

  #listPage(
    prefix: string,
    startAfter: string | undefined,
    continuation: string | undefined,
    options: RequestOptions,
  ): Promise<{ readonly objects: readonly ObjectMeta[]; readonly continuation: string | undefined }> {
    return this.#attempt('list', prefix, options, async ({ sdk, client }, abortSignal) => {
      const answer = await client.send(
        new sdk.ListObjectsV2Command({
          Bucket: this.bucket,
          Prefix: prefix,
          // XML has no form for control characters, which keys may have.
          EncodingType: 'url',
          ...this.#payer,
          ...(continuation === undefined ? { StartAfter: startAfter } : { ContinuationToken: continuation }),
        }),
        { abortSignal },
      );
      const token = answer.NextContinuationToken;
      // A body cut to nothing parses too, and would make a table empty.
      if (answer.IsTruncated === undefined) throw badResponse('a listing does not say if it is complete', this, prefix);
      if (answer.IsTruncated && !token) throw badResponse('a listing stops short with no way to go on', this, prefix);
      return { objects: this.#listed(answer, prefix), continuation: answer.IsTruncated ? token : undefined };
    });
  }

  #listed(answer: ListObjectsV2CommandOutput, prefix: string): ObjectMeta[] {
    const decode = answer.EncodingType === 'url' ? decodeKey : (key: string) => key;
    return (answer.Contents ?? []).map((entry) => {
      const key = entry.Key === undefined ? undefined : decode(entry.Key);
      if (!key?.startsWith(prefix)) throw badResponse(`a listing has the key ${entry.Key}`, this, prefix);
      return this.#meta(key, entry.Size, entry.ETag);
    });
  }

  #outOfOrder(prefix: string, before: string, after: string): ServiceError {
    const message = `${this.endpoint} lists ${s3Uri(this, prefix)} out of order (${after} after ${before}); directory buckets (S3 Express) are not in this version`;
    return new ServiceError('unsupported', 'unordered_listing', message, { bucket: this.bucket, key: prefix });
  }
}

/** Undefined where the escapes are broken. S3 writes a space as `+`, others as `%20`. */
function decodeKey(encoded: string): string | undefined {
  try {
    return decodeURIComponent(encoded.replaceAll('+', ' '));
  } catch {
    return undefined;
  }
}

async function readExactly(
  body: Readable,
  lengthBytes: number,
  abortSignal: AbortSignal,
  wrong: (what: string) => ServiceError,
): Promise<Uint8Array> {
  const onAbort = () => body.destroy(new Error('aborted'));
  if (abortSignal.aborted) onAbort();
  abortSignal.addEventListener('abort', onAbort, { once: true });
  const bytes = Buffer.allocUnsafeSlow(lengthBytes);
  let filled = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      if (filled + chunk.length > lengthBytes)
        throw wrong(`its body is longer than the ${lengthBytes} bytes asked for`);
      bytes.set(chunk, filled);
      filled += chunk.length;
    }
  } finally {
    abortSignal.removeEventListener('abort', onAbort);
  }
  if (filled < lengthBytes) throw wrong(`its body ended after ${filled} of ${lengthBytes} bytes`);
  return bytes;
}
