/**
 * What an answer is written to: Fastify's reply, or Node's response alone where a request is answered before Fastify
 * makes its objects of it.
 */

import type { ServerResponse } from 'node:http';

/** The slowest tier that an answer touched. */
export type AnswerTier = 'memory' | 'disk' | 'origin';

export interface Reply {
  readonly raw: ServerResponse;
  /** Set by who answers with a row, a value, or that there is none. */
  tier: AnswerTier | undefined;
  /** Says that the answer goes to `raw`. */
  hijack(): unknown;
}
