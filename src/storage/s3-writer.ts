/**
 * Writing to one bucket: objects of any length by multipart uploads, which nobody sees before they are completed, small
 * objects by PUT, and removing. Each request is tried again where its failure passes.
 */

import { createHash } from 'node:crypto';
import { assert, ServiceError } from '../core/index.ts';
import type { ObjectMeta } from './object-store.ts';
import { Retries, type RetriesOptions } from './retries.ts';
import { RetryingStore } from './retrying-store.ts';
import type { S3Connection } from './s3-connection.ts';
import { requestTimedOut, s3Error, s3Uri } from './s3-errors.ts';
import { S3Store } from './s3-store.ts';

/** S3 wants 5 MiB at least of every part but the last. */
const PART_BYTES = 8 << 20;
/** An upload has 10,000 parts at most: after as many of one size the next are twice as large. */
const PARTS_OF_ONE_SIZE = 1_000;
/** Each holds its bytes. */
const PARTS_AT_ONCE = 4;
/** A part goes out over a slow line too. */
const REQUEST_TIMEOUT_MS = 120_000;

type Loaded = Awaited<ReturnType<S3Connection['use']>>;

export class S3Writer {
  readonly bucket: string;
  readonly endpoint: string;
  readonly #connection: S3Connection;
  readonly #retries: Retries;
  readonly #store: RetryingStore;

  constructor(connection: S3Connection, bucket: string, retries: RetriesOptions = {}) {
    this.#connection = connection;
    this.bucket = bucket;
    this.endpoint = connection.endpoint;
    this.#retries = new Retries(retries);
    this.#store = new RetryingStore(new S3Store(connection, bucket), retries);
  }

  /** Undefined where there is no such object. */
  async find(key: string): Promise<ObjectMeta | undefined> {
    return this.#store.head(key).catch((error: unknown) => {
      if (error instanceof ServiceError && error.kind === 'notFound') return undefined;
      throw error;
    });
  }

  list(prefix: string): AsyncIterable<ObjectMeta> {
    return this.#store.list(prefix);
  }

  async begin(key: string, signal: AbortSignal): Promise<S3Upload> {
    const { UploadId: id } = await this.request(key, signal, ({ sdk, client }, options) =>
      client.send(new sdk.CreateMultipartUploadCommand({ Bucket: this.bucket, Key: key }), options),
    );
    if (!id) throw new ServiceError('unavailable', 'bad_response', `${this.endpoint} began an upload without an id`);
    return new S3Upload(this, key, id, signal);
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    await this.request(key, undefined, ({ sdk, client }, options) =>
      client.send(new sdk.PutObjectCommand({ Bucket: this.bucket, Key: key, Body: bytes }), options),
    );
  }

  /** Also where there is no such object. */
  async remove(key: string): Promise<void> {
    await this.request(key, undefined, ({ sdk, client }, options) =>
      client.send(new sdk.DeleteObjectCommand({ Bucket: this.bucket, Key: key }), options),
    );
  }

  /** One request of the SDK, again where it may pass. */
  request<T>(
    key: string,
    signal: AbortSignal | undefined,
    send: (loaded: Loaded, options: { readonly abortSignal: AbortSignal }) => Promise<T>,
  ): Promise<T> {
    return this.#retries.run('write', key, signal, async () => {
      signal?.throwIfAborted();
      const attempt = new AbortController();
      const done = new AbortController();
      const onAbort = () => attempt.abort(signal?.reason);
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#connection.clock.sleep(REQUEST_TIMEOUT_MS, done.signal).then(
        () => attempt.abort(requestTimedOut(REQUEST_TIMEOUT_MS, this, key)),
        () => undefined,
      );
      try {
        return await send(await this.#connection.use(), { abortSignal: attempt.signal });
      } catch (error) {
        if (attempt.signal.aborted) throw attempt.signal.reason;
        throw this.#explained(s3Error(error, this, key));
      } finally {
        signal?.removeEventListener('abort', onAbort);
        done.abort();
      }
    });
  }

  #explained(error: ServiceError): ServiceError {
    if (error.code !== 'access_denied') return error;
    const rights = 's3:PutObject, s3:AbortMultipartUpload, s3:DeleteObject and s3:ListBucket';
    return new ServiceError(error.kind, error.code, `${error.message}; writing needs ${rights}`, error.context, error);
  }
}

/** One object on its way, in parts of growing size, of which some go out at the same time. */
export class S3Upload {
  readonly key: string;
  readonly #writer: S3Writer;
  readonly #id: string;
  readonly #signal: AbortSignal;
  readonly #eTags: string[] = [];
  readonly #sending = new Set<Promise<void>>();
  #failed: unknown;
  #part = Buffer.alloc(0);
  #filled = 0;
  #sizeBytes = 0;

  constructor(writer: S3Writer, key: string, id: string, signal: AbortSignal) {
    this.#writer = writer;
    this.key = key;
    this.#id = id;
    this.#signal = signal;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      if (this.#part.length === 0) this.#part = Buffer.allocUnsafeSlow(partBytes(this.#eTags.length));
      const more = bytes.subarray(at, at + this.#part.length - this.#filled);
      this.#part.set(more, this.#filled);
      this.#filled += more.length;
      at += more.length;
      if (this.#filled === this.#part.length) await this.#send();
    }
    this.#sizeBytes += bytes.length;
  }

  /** Every part is there; the object is still nowhere to be seen. */
  async flush(): Promise<void> {
    if (this.#filled > 0) await this.#send();
    await Promise.all(this.#sending);
    if (this.#failed !== undefined) throw this.#failed;
  }

  /** Makes the object appear, at once and whole. `isNew`: unless there is one of that name. */
  async complete({ isNew }: { readonly isNew: boolean }): Promise<void> {
    const { bucket } = this.#writer;
    const parts = this.#eTags.map((eTag, i) => ({ ETag: eTag, PartNumber: i + 1 }));
    const input = { Bucket: bucket, Key: this.key, UploadId: this.#id, MultipartUpload: { Parts: parts } };
    try {
      await this.#writer.request(this.key, undefined, ({ sdk, client }, options) =>
        client.send(new sdk.CompleteMultipartUploadCommand({ ...input, ...(isNew && { IfNoneMatch: '*' }) }), options),
      );
    } catch (error) {
      // The answer to an earlier try may have been lost, and then the upload is gone or its own object in its way.
      const found = await this.#writer.find(this.key).catch(() => undefined);
      if (found?.sizeBytes === this.#sizeBytes && found.eTag === this.#eTag()) return;
      if (!(error instanceof ServiceError) || error.context.status !== 412) throw error;
      const message = `${s3Uri(this.#writer, this.key)} was made meanwhile by somebody else; choose another target`;
      throw new ServiceError('invalid', 'invalid_target', message, { bucket, key: this.key }, error);
    }
  }

  /** Gives the parts up. */
  async abort(): Promise<void> {
    await Promise.all(this.#sending);
    await this.#writer.request(this.key, undefined, ({ sdk, client }, options) =>
      client.send(
        new sdk.AbortMultipartUploadCommand({ Bucket: this.#writer.bucket, Key: this.key, UploadId: this.#id }),
        options,
      ),
    );
  }

  async #send(): Promise<void> {
    const body = this.#part.subarray(0, this.#filled);
    this.#part = Buffer.alloc(0);
    this.#filled = 0;
    const number = this.#eTags.push('');
    const sending = this.#sendPart(number, body)
      .catch((error: unknown) => {
        this.#failed ??= error;
      })
      .finally(() => this.#sending.delete(sending));
    this.#sending.add(sending);
    if (this.#sending.size >= PARTS_AT_ONCE) await Promise.race(this.#sending);
    if (this.#failed !== undefined) throw this.#failed;
  }

  async #sendPart(number: number, body: Buffer): Promise<void> {
    const input = {
      Bucket: this.#writer.bucket,
      Key: this.key,
      UploadId: this.#id,
      PartNumber: number,
      Body: body,
      ContentMD5: createHash('md5').update(body).digest('base64'),
    };
    const { ETag: eTag } = await this.#writer.request(this.key, this.#signal, ({ sdk, client }, options) =>
      client.send(new sdk.UploadPartCommand(input), options),
    );
    if (!eTag) throw new ServiceError('unavailable', 'bad_response', `${this.#writer.endpoint} gave a part no ETag`);
    assert(this.#eTags[number - 1] === '', 'a part is sent once');
    this.#eTags[number - 1] = eTag;
  }

  /** What S3 makes of the ETags of parts, where those are MD5. */
  #eTag(): string {
    const hash = createHash('md5');
    for (const eTag of this.#eTags) hash.update(Buffer.from(eTag.replaceAll('"', ''), 'hex'));
    return `"${hash.digest('hex')}-${this.#eTags.length}"`;
  }
}

function partBytes(parts: number): number {
  return PART_BYTES * 2 ** Math.floor(parts / PARTS_OF_ONE_SIZE);
}
