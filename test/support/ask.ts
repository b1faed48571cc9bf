/**
 * Requests of a load over kept-alive connections: status, headers and text, and nothing that costs a server's core.
 *
 * `fetch` takes a multiple of the CPU of what it asks for here, and so would measure and load itself.
 */

import { Agent, type IncomingHttpHeaders, request } from 'node:http';

export interface Asked {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly bytes: Buffer;
}

export interface AskOptions {
  /** Sent by POST as JSON. */
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Aborts the request: a client that leaves. */
  readonly signal?: AbortSignal;
}

export class Asker {
  readonly origin: string;
  readonly #agent: Agent;

  constructor(origin: string, connectionsMax = 256) {
    this.origin = origin;
    this.#agent = new Agent({ keepAlive: true, maxSockets: connectionsMax });
  }

  ask(path: string, { body, headers, signal }: AskOptions = {}): Promise<Asked> {
    const json =
      body === undefined ? {} : { 'content-type': 'application/json', 'content-length': `${Buffer.byteLength(body)}` };
    const options = {
      method: body === undefined ? 'GET' : 'POST',
      agent: this.#agent,
      headers: { ...json, ...headers },
    };
    return new Promise((resolve, reject) => {
      const sent = request(`${this.origin}${path}`, { ...options, ...(signal && { signal }) }, (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.once('error', reject);
        answer.once('end', () => {
          const bytes = Buffer.concat(chunks);
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text: bytes.toString(), bytes });
        });
      });
      sent.once('error', reject);
      sent.end(body);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}
