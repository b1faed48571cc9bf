/** Requests over HTTP, each lane on a connection of its own that is kept alive. */

import { Client, type Dispatcher } from 'undici';
import { callWriter, type HttpCall } from './http-call.ts';
import type { Done, Sender } from './load.ts';
import type { HttpTarget, LoadPlan } from './plan.ts';
import { type AnswerKind, TIERS, type Tier } from './recorder.ts';

/** Of the batches, those whose answers are parsed and counted key by key. */
const LOOKED_INTO = 1 / 64;
const TIMEOUTS = new Set(['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT', 'UND_ERR_CONNECT_TIMEOUT']);

export class HttpSender implements Sender {
  onKeyStatus: ((status: string) => void) | undefined;
  readonly #origin: string;
  readonly #callOf: (keys: readonly string[]) => HttpCall;
  readonly #lanes: (Client | undefined)[] = [];
  readonly #timeoutMs: number;
  readonly #looksIntoBatches: boolean;
  readonly #tellsTiers: boolean;
  #sent = 0;

  constructor(target: HttpTarget, { batch, timeoutMs }: Pick<LoadPlan, 'batch' | 'timeoutMs'>) {
    this.#origin = new URL(target.url.replaceAll('{key}', 'key')).origin;
    this.#callOf = callWriter(target, batch);
    this.#timeoutMs = timeoutMs;
    this.#tellsTiers = target.kind === 'table';
    this.#looksIntoBatches = target.kind === 'table' && batch > 0;
  }

  send(lane: number, keys: readonly string[], done: Done): void {
    this.#sent += 1;
    const isLookedInto = this.#looksIntoBatches && this.#sent % (1 / LOOKED_INTO) === 1;
    const chunks: Buffer[] | undefined = isLookedInto ? [] : undefined;
    let status = 0;
    let bytes = 0;
    let tier: Tier | undefined;
    let isDone = false;
    const settle = (kind: AnswerKind, text: string) => {
      if (isDone) return;
      isDone = true;
      done(kind, text, bytes, tier);
    };
    const handler: Dispatcher.DispatchHandler = {
      // By this method undici knows which of its two kinds of handler it has.
      onRequestStart() {},
      onResponseStart: (_controller, statusCode, headers) => {
        status = statusCode;
        if (this.#tellsTiers) tier = TIERS.find((one) => one === headers['pointlake-cache']);
      },
      onResponseData(_controller, chunk) {
        bytes += chunk.length;
        chunks?.push(chunk);
      },
      onResponseEnd: () => {
        const kind = status >= 200 && status < 300 ? 'found' : status === 404 ? 'absent' : 'refused';
        settle(kind, String(status));
        if (chunks !== undefined && kind === 'found') this.#lookInto(Buffer.concat(chunks).toString());
      },
      onResponseError(_controller, error: NodeJS.ErrnoException) {
        const code = error.code ?? error.name;
        settle(TIMEOUTS.has(code) ? 'gaveUp' : 'broken', TIMEOUTS.has(code) ? 'timeout' : code);
      },
    };
    this.#client(lane).dispatch(this.#callOf(keys) as Dispatcher.DispatchOptions, handler);
  }

  async close(): Promise<void> {
    await Promise.all(this.#lanes.map((client) => client?.destroy()));
  }

  #client(lane: number): Client {
    const known = this.#lanes[lane];
    if (known !== undefined) return known;
    const client = new Client(this.#origin, {
      pipelining: 1,
      headersTimeout: this.#timeoutMs,
      bodyTimeout: this.#timeoutMs,
      connect: { timeout: this.#timeoutMs },
    });
    this.#lanes[lane] = client;
    return client;
  }

  #lookInto(text: string): void {
    const { results } = JSON.parse(text) as { readonly results: readonly { readonly status: string }[] };
    for (const { status } of results) this.onKeyStatus?.(status);
  }
}
