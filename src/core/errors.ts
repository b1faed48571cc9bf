/**
 * One error type for everything Pointlake refuses or fails at.
 *
 * The kind says whose fault it is and so which HTTP status it becomes; the code is stable and meant for
 * programs; the message is one sentence that says what happened and what would be right. Errors cross threads
 * as plain data, so they are told apart by `kind` and `code`, never by `instanceof` on the far side.
 */

export type ErrorKind =
  | 'invalid' // 400: the request is wrong
  | 'unauthorized' // 401 or 403
  | 'notFound' // 404
  | 'tooLarge' // 413 or 422
  | 'overloaded' // 429: come back later, the caller's side
  | 'corrupt' // 502: the file is broken
  | 'unsupported' // 502: the file is fine, this version cannot read that feature of it
  | 'changed' // 503: the object changed while it was read
  | 'unavailable' // 503: storage or a table cannot answer now
  | 'timeout' // 504
  | 'internal'; // 500: our own mistake

export type ErrorContext = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;

export interface PlainError {
  readonly kind: ErrorKind;
  readonly code: string;
  readonly message: string;
  readonly context: ErrorContext;
}

export class ServiceError extends Error implements PlainError {
  override readonly name = 'ServiceError';
  readonly kind: ErrorKind;
  readonly code: string;
  readonly context: ErrorContext;

  constructor(kind: ErrorKind, code: string, message: string, context: ErrorContext = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
    this.code = code;
    this.context = context;
  }

  /** The same error with more context; what is already known wins, since it was nearer to the fault. */
  with(context: ErrorContext): ServiceError {
    return new ServiceError(this.kind, this.code, this.message, { ...context, ...this.context }, this.cause);
  }

  toPlain(): PlainError {
    return { kind: this.kind, code: this.code, message: this.message, context: this.context };
  }
}

/** Rebuilds an error that crossed a thread as plain data. */
export function fromPlainError(plain: PlainError): ServiceError {
  return new ServiceError(plain.kind, plain.code, plain.message, plain.context);
}

/** Whatever was thrown, as a ServiceError: an unknown throw is our own mistake and becomes `internal`. */
export function asServiceError(thrown: unknown): ServiceError {
  if (thrown instanceof ServiceError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new ServiceError('internal', 'internal', message, {}, thrown);
}

/** For our own mistakes only, never for input. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new ServiceError('internal', 'internal', `assertion failed: ${message}`);
}

/** Shorthands for the two errors that decoders throw; the caller adds file, row group, column and page. */
export function corrupt(message: string, context: ErrorContext = {}): ServiceError {
  return new ServiceError('corrupt', 'corrupt', message, context);
}

export function unsupported(message: string, context: ErrorContext = {}): ServiceError {
  return new ServiceError('unsupported', 'unsupported', message, context);
}
