/**
 * One client for an S3 endpoint, shared by all its buckets: one credential chain, one pool of kept-alive sockets.
 *
 * The SDK is loaded at the first request, since it takes a tenth of a second that local use need not pay. Its retries
 * are off: the retrying decorator does them, within the caller's deadline and with time and chance injected.
 */

import type { S3Client, S3ClientConfig } from '@aws-sdk/client-s3';
import { type Clock, ServiceError, systemClock } from '../core/index.ts';

export interface S3Settings {
  /** Of a server that is not AWS: `http://127.0.0.1:9000`. By default AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or AWS itself. */
  readonly endpoint?: string | undefined;
  /** By default AWS_REGION or the profile's; `us-east-1` when an endpoint is set, which most other servers accept. */
  readonly region?: string | undefined;
  /** `http://host/bucket/key` and not `http://bucket.host/key`; true by default when an endpoint is set. */
  readonly forcePathStyle?: boolean | undefined;
  /** Send no credentials: public buckets. */
  readonly anonymous?: boolean | undefined;
  /** Agree to pay for requests to buckets whose owners want that. */
  readonly requesterPays?: boolean | undefined;
  /** By default the standard chain: environment, profile, container, machine. */
  readonly credentials?: S3Credentials | undefined;
  /** From sending a request to the last byte of its answer. */
  readonly requestTimeoutMs?: number | undefined;
  readonly connectTimeoutMs?: number | undefined;
  readonly maxSockets?: number | undefined;
}

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** What every single HTTP request to S3 is, retries and pages of listings included: what S3 bills. */
export interface S3Attempt {
  readonly op: 'head' | 'get' | 'list' | 'headBucket';
  readonly bucket: string;
  readonly key: string;
}

export interface S3ConnectionOptions {
  readonly clock?: Clock;
  readonly onAttempt?: (attempt: S3Attempt) => void;
}

type Sdk = typeof import('@aws-sdk/client-s3');

const REQUEST_TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 3_000;
const MAX_SOCKETS = 64;
/** A listing page has at most 1,000 keys of 1 KiB, threefold when escaped; errors are far smaller. */
const DOCUMENT_BYTES_MAX = 8 << 20;

export class S3Connection {
  readonly endpoint: string;
  readonly requestTimeoutMs: number;
  readonly requesterPays: boolean;
  readonly clock: Clock;
  readonly onAttempt: (attempt: S3Attempt) => void;
  readonly #settings: S3Settings;
  #client: Promise<{ readonly sdk: Sdk; readonly client: S3Client }> | undefined;
  #closed = false;

  constructor(settings: S3Settings = {}, options: S3ConnectionOptions = {}) {
    this.#settings = settings;
    this.endpoint = checkedEndpoint(settings.endpoint) ?? endpointOfEnvironment() ?? 'AWS S3';
    this.requestTimeoutMs = settings.requestTimeoutMs ?? REQUEST_TIMEOUT_MS;
    this.requesterPays = settings.requesterPays ?? false;
    this.clock = options.clock ?? systemClock;
    this.onAttempt = options.onAttempt ?? (() => undefined);
  }

  /** The loaded SDK and its client. */
  use(): Promise<{ readonly sdk: Sdk; readonly client: S3Client }> {
    if (this.#closed) throw new ServiceError('internal', 'internal', 'the connection to S3 is closed');
    this.#client ??= import('@aws-sdk/client-s3').then((sdk) => ({
      sdk,
      client: new sdk.S3Client(clientConfig(this.#settings)),
    }));
    return this.#client;
  }

  async close(): Promise<void> {
    this.#closed = true;
    const loaded = await this.#client;
    loaded?.client.destroy();
  }
}

function clientConfig(settings: S3Settings): S3ClientConfig {
  const { endpoint, region, anonymous, credentials } = settings;
  const maxSockets = settings.maxSockets ?? MAX_SOCKETS;
  const agent = { keepAlive: true, maxSockets, maxFreeSockets: maxSockets, scheduling: 'lifo' as const };
  const defaultRegion = endpoint !== undefined && !process.env.AWS_REGION ? 'us-east-1' : undefined;
  const knownRegion = region ?? defaultRegion;
  const config: S3ClientConfig = {
    maxAttempts: 1,
    forcePathStyle: settings.forcePathStyle ?? endpoint !== undefined,
    // Ranges carry no checksum of their own, so the SDK would only copy the bytes.
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestChecksumCalculation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: settings.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
      // The store times whole requests itself, and its caller bounds how many wait for a socket.
      socketAcquisitionWarningTimeout: 2 ** 30,
      httpAgent: agent,
      httpsAgent: agent,
    },
    streamCollector: collectDocument,
  };
  if (endpoint !== undefined) config.endpoint = endpoint;
  if (knownRegion !== undefined) config.region = knownRegion;
  if (anonymous) {
    config.credentials = { accessKeyId: '', secretAccessKey: '' };
    config.signer = { sign: async (request) => request };
  } else if (credentials !== undefined) {
    config.credentials = credentials;
  }
  return config;
}

/** Reads the answers that the SDK parses itself: listings and errors. The store reads objects. */
async function collectDocument(stream: unknown): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of stream as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > DOCUMENT_BYTES_MAX) {
      throw new ServiceError(
        'unavailable',
        'bad_response',
        `S3 sent a document of more than ${DOCUMENT_BYTES_MAX} bytes`,
      );
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}

function checkedEndpoint(endpoint: string | undefined): string | undefined {
  if (endpoint === undefined) return undefined;
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') {
    const message = `the S3 endpoint ${JSON.stringify(endpoint)} is no URL; write one such as http://127.0.0.1:9000`;
    throw new ServiceError('invalid', 'invalid_endpoint', message, { endpoint });
  }
  return endpoint;
}

function endpointOfEnvironment(): string | undefined {
  return process.env.AWS_ENDPOINT_URL_S3 || process.env.AWS_ENDPOINT_URL || undefined;
}
