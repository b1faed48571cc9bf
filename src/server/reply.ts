/**
 * What an answer is written to: Fastify's reply, Node's response alone where a request is answered before Fastify
 * makes its objects of it, or the socket where Node makes none of its own either.
 */

import { ServerResponse } from 'node:http';

/** The slowest tier that an answer touched. */
export type AnswerTier = 'memory' | 'disk' | 'origin';

/** As much of Node's response as an answer takes that is written in one piece. */
export interface RawReply {
  readonly headersSent: boolean;
  readonly destroyed: boolean;
  readonly writableEnded: boolean;
  readonly writableFinished: boolean;
  readonly statusCode: number;
  /** `headers` are names and values in turn. */
  writeHead(status: number, headers: string[]): unknown;
  end(body?: string | Uint8Array): unknown;
  end(body: string, encoding: BufferEncoding): unknown;
  destroy(): unknown;
  once(event: 'close', listener: () => void): unknown;
}

export interface Reply<Raw extends RawReply = RawReply> {
  readonly raw: Raw;
  /** Set by who answers with a row, a value, or that there is none. */
  tier: AnswerTier | undefined;
  /** Says that the answer goes to `raw`. */
  hijack(): unknown;
}

/** Whether it takes an answer in more than one piece, at the pace of the client. */
export function canStream(reply: Reply): reply is Reply<ServerResponse> {
  return reply.raw instanceof ServerResponse;
}
