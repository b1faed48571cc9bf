/** What the server refused or failed at, as one error type: `code` is for programs, the message for people. */

export interface ErrorFields {
  readonly code: string;
  readonly detail: string;
  /** The fields of the case: `column`, `known`, `limit` and the like. */
  readonly [field: string]: unknown;
}

const NO_PROBLEM = 'unexpected_answer';

export class PointlakeError extends Error {
  override readonly name = 'PointlakeError';
  /** HTTP's; 0 for an error inside the answer to a batch. */
  readonly status: number;
  readonly code: string;
  readonly fields: ErrorFields;
  /** Seconds after which the server suggests to try again. */
  readonly retryAfterSeconds: number | undefined;

  constructor(status: number, fields: ErrorFields, retryAfterSeconds?: number) {
    super(fields.detail);
    this.status = status;
    this.code = fields.code;
    this.fields = fields;
    this.retryAfterSeconds = retryAfterSeconds;
  }

  /** True where the same request may succeed later. */
  get isRetryable(): boolean {
    return this.status === 429 || this.status === 503 || this.status === 504;
  }

  static async ofResponse(answer: Response): Promise<PointlakeError> {
    const text = await answer.text();
    const retryAfter = Number(answer.headers.get('retry-after') ?? Number.NaN);
    const fields = fieldsOf(answer, text);
    return new PointlakeError(answer.status, fields, Number.isFinite(retryAfter) ? retryAfter : undefined);
  }

  static ofResult(fields: ErrorFields | undefined): PointlakeError {
    return new PointlakeError(0, fields ?? { code: 'timeout', detail: 'there was no answer within the time allowed' });
  }
}

/** A proxy in between answers in its own words. */
function fieldsOf(answer: Response, text: string): ErrorFields {
  const unexpected = { code: NO_PROBLEM, detail: `the server answered ${answer.status} ${text.slice(0, 200)}`.trim() };
  if (!answer.headers.get('content-type')?.startsWith('application/problem+json')) return unexpected;
  try {
    const problem: unknown = JSON.parse(text);
    return isErrorFields(problem) ? problem : unexpected;
  } catch {
    return unexpected;
  }
}

function isErrorFields(problem: unknown): problem is ErrorFields {
  if (typeof problem !== 'object' || problem === null) return false;
  const { code, detail } = problem as Partial<ErrorFields>;
  return typeof code === 'string' && typeof detail === 'string';
}
