/**
 * What S3 and the network say, as the errors of an object store.
 *
 * The one place that decides which failures pass: such an error carries `retryable: true` in its context. Messages name
 * the endpoint and what to check, since most of them are read by someone who has just written a configuration.
 */

import { ServiceError } from '../core/index.ts';

export interface S3Place {
  readonly bucket: string;
  /** As configured, or the service's own. */
  readonly endpoint: string;
}

/** The parts of the SDK's errors that are relied on; none is certain to be there. */
interface S3Failure {
  readonly name: string;
  readonly message: string;
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, string>>;
  /** Of the network or the system: `ECONNREFUSED`. */
  readonly errno: string | undefined;
}

const DENIED = new Set([
  'AccessDenied',
  'AllAccessDisabled',
  'ExpiredToken',
  'Forbidden',
  'InvalidAccessKeyId',
  'InvalidToken',
  'RequestTimeTooSkewed',
  'SignatureDoesNotMatch',
]);
/** Thrown by the chain itself, before anything is sent. */
const NO_CREDENTIALS = new Set(['CredentialsProviderError', 'TokenProviderError']);
const WRONG_REGION = new Set([
  'PermanentRedirect',
  'AuthorizationHeaderMalformed',
  'IllegalLocationConstraintException',
]);
const PASSING_NAMES = new Set([
  'BadDigest',
  'InternalError',
  'OperationAborted',
  'RequestTimeout',
  'RequestTimeTooSkewed',
  'ServiceUnavailable',
  'SlowDown',
  'Throttling',
  'ThrottlingException',
  'TimeoutError',
]);
const PASSING_ERRNOS = new Set([
  'EAI_AGAIN',
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EPIPE',
  'ERR_STREAM_PREMATURE_CLOSE',
  'ETIMEDOUT',
]);

/** True where the same request may well succeed a moment later. */
export function isRetryable(error: unknown): boolean {
  return error instanceof ServiceError && error.kind === 'unavailable' && error.context.retryable === true;
}

/** The error of a request for `key`, which is empty for a listing. A missing object is the caller's to judge. */
export function s3Error(thrown: unknown, place: S3Place, key: string): ServiceError {
  if (thrown instanceof ServiceError) return thrown;
  const failure = failureOf(thrown);
  const context = { bucket: place.bucket, key, endpoint: place.endpoint, status: failure.status, s3Code: failure.name };
  const make = (code: string, message: string) =>
    new ServiceError('unavailable', code, message, { ...context, ...(passes(failure) && { retryable: true }) }, thrown);

  if (thrown instanceof TypeError || thrown instanceof RangeError) {
    return new ServiceError('internal', 'internal', `a request to S3 failed: ${failure.message}`, context, thrown);
  }
  if (failure.name === 'NoSuchBucket') {
    return make(
      'no_such_bucket',
      `there is no bucket ${place.bucket} at ${place.endpoint}; check its name and the endpoint`,
    );
  }
  if (failure.name === 'InvalidObjectState') {
    return make('object_archived', `${s3Uri(place, key)} is archived and cannot be read; restore it first`);
  }
  if (NO_CREDENTIALS.has(failure.name)) {
    return make('access_denied', `no credentials were found for ${s3Uri(place, key)}: ${noCredentialsHint(failure)}`);
  }
  if (DENIED.has(failure.name) || failure.status === 401 || failure.status === 403) {
    return make('access_denied', deniedMessage(failure, place, key));
  }
  if (WRONG_REGION.has(failure.name) || failure.status === 301) {
    return make('wrong_region', wrongRegionMessage(failure, place));
  }
  if (/region/i.test(failure.message) && failure.status === undefined && failure.errno === undefined) {
    return make('region_missing', `no region is known for bucket ${place.bucket}; set storage.s3.region or AWS_REGION`);
  }
  if (failure.status === undefined) return make('unavailable', unreachableMessage(failure, place));
  if (failure.status < 300) return badResponse(`its body cannot be parsed (${failure.message})`, place, key, thrown);
  return make('unavailable', `${place.endpoint} answered ${failure.status} ${failure.name} for ${s3Uri(place, key)}`);
}

/** True when S3 says that there is no such object, in words or by the bare status of a HEAD. */
export function isMissing(thrown: unknown): boolean {
  const { name, status } = failureOf(thrown);
  return status === 404 && name !== 'NoSuchBucket';
}

/** True when the object is not at the version asked for, or too short for the range, which says the same. */
export function isChanged(thrown: unknown): boolean {
  const { status } = failureOf(thrown);
  return status === 412 || status === 416 || isMissing(thrown);
}

/** An answer that breaks HTTP or the contract of S3. Most come from connections that broke, so it is worth another try. */
export function badResponse(what: string, place: S3Place, key: string, cause?: unknown): ServiceError {
  const message = `${place.endpoint} answered ${s3Uri(place, key)} wrongly: ${what}`;
  const context = { bucket: place.bucket, key, endpoint: place.endpoint, retryable: true };
  return new ServiceError('unavailable', 'bad_response', message, context, cause);
}

export function requestTimedOut(timeoutMs: number, place: S3Place, key: string): ServiceError {
  const message = `${place.endpoint} did not answer ${s3Uri(place, key)} within ${timeoutMs} ms`;
  const context = { bucket: place.bucket, key, endpoint: place.endpoint, timeoutMs, retryable: true };
  return new ServiceError('unavailable', 'request_timeout', message, context);
}

export function s3Uri(place: S3Place, key: string): string {
  return `s3://${place.bucket}/${key}`;
}

function passes({ name, status, errno }: S3Failure): boolean {
  if (PASSING_NAMES.has(name)) return true;
  if (status !== undefined) return status >= 500 ? status !== 501 && status !== 505 : status === 429 || status === 408;
  return errno !== undefined && PASSING_ERRNOS.has(errno);
}

function failureOf(thrown: unknown): S3Failure {
  const error = asRecord(thrown);
  const metadata = asRecord(error.$metadata);
  const headers = asRecord(asRecord(error.$response).headers);
  return {
    name: textOf(error.name) || 'Error',
    message: textOf(error.message) || String(thrown),
    status: typeof metadata.httpStatusCode === 'number' ? metadata.httpStatusCode : undefined,
    headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), textOf(value)])),
    errno: textOf(error.code) || textOf(asRecord(error.cause).code) || undefined,
  };
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function noCredentialsHint(failure: S3Failure): string {
  const ways =
    'set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, choose a profile by AWS_PROFILE, or give the machine a role';
  return `${ways}; for a public bucket set storage.s3.anonymous (${failure.message})`;
}

function deniedMessage(failure: S3Failure, place: S3Place, key: string): string {
  const start = `${place.endpoint} refused access to ${s3Uri(place, key)} (${failure.name}): `;
  switch (failure.name) {
    case 'InvalidAccessKeyId':
      return `${start}it does not know the access key; check AWS_ACCESS_KEY_ID and that the endpoint is the right one`;
    case 'SignatureDoesNotMatch':
      return `${start}the secret does not fit the access key; check AWS_SECRET_ACCESS_KEY`;
    case 'ExpiredToken':
    case 'InvalidToken':
      return `${start}the session token is no longer valid; renew the credentials`;
    case 'RequestTimeTooSkewed':
      return `${start}the clocks differ too much; set this machine's clock`;
    default:
      return `${start}check the credentials, and that they allow s3:GetObject and s3:ListBucket on this bucket; where its readers pay, set storage.s3.requesterPays`;
  }
}

function wrongRegionMessage(failure: S3Failure, place: S3Place): string {
  const region = failure.headers['x-amz-bucket-region'] ?? /expecting '([a-z0-9-]+)'/.exec(failure.message)?.[1];
  const where = region === undefined ? 'another region' : `the region ${region}`;
  return `bucket ${place.bucket} lies in ${where}; set storage.s3.region or AWS_REGION to it`;
}

function unreachableMessage(failure: S3Failure, place: S3Place): string {
  const { errno, message } = failure;
  if (errno === 'ECONNREFUSED')
    return `${place.endpoint} refuses connections; check the endpoint and that the server runs`;
  if (errno === 'ENOTFOUND' || errno === 'EAI_AGAIN') {
    const hint = 'where buckets are no host names, set storage.s3.forcePathStyle';
    return `the host of ${place.endpoint} (bucket ${place.bucket}) is not known to DNS; check the endpoint and the network; ${hint}`;
  }
  return `${place.endpoint} could not be reached for bucket ${place.bucket}: ${message}${errno ? ` (${errno})` : ''}`;
}
