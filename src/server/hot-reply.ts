/** A reply that is found first and written with the others of its turn. */

import type { AnswerTier, RawReply, Reply } from './reply.ts';
import type { ReplyHeaders } from './reply-headers.ts';
import { respondText } from './respond.ts';

export class HotReply implements Reply {
  readonly raw: RawReply;
  tier: AnswerTier | undefined = undefined;
  /** Whether what was found is sent in pieces, which this reply cannot be. */
  needsStream = false;
  #headers: ReplyHeaders | undefined = undefined;
  #ageSeconds = 0;
  #body = '';

  constructor(raw: RawReply) {
    this.raw = raw;
  }

  hijack(): void {}

  /** What `respondText` is to be given. */
  hold(headers: ReplyHeaders, ageSeconds: number, body: string): void {
    this.#headers = headers;
    this.#ageSeconds = ageSeconds;
    this.#body = body;
  }

  get isHeld(): boolean {
    return this.#headers !== undefined;
  }

  writeHeld(): void {
    if (this.#headers !== undefined) respondText(this, this.#headers, this.#ageSeconds, this.#body);
  }
}

/** `respondText`, but at the end of the turn. */
export function hold(reply: HotReply, headers: ReplyHeaders, ageSeconds: number, body: string): void {
  reply.hold(headers, ageSeconds, body);
}
