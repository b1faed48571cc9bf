/** What a server says at `/metrics`, as numbers. */

import type { Server } from './servers.ts';

export class Metrics {
  readonly #lines: readonly string[];

  constructor(text: string) {
    this.#lines = text.split('\n');
  }

  sum(name: string, label = ''): number {
    return this.#values(name, label).reduce((sum, value) => sum + value, 0);
  }

  each(name: string): readonly number[] {
    return this.#values(name, '');
  }

  #values(name: string, label: string): readonly number[] {
    const own = this.#lines.filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
    return own.filter((line) => line.includes(label)).map((line) => Number(line.slice(line.lastIndexOf(' ') + 1)));
  }
}

/** On a connection of its own, which is none of the load's. */
export async function metricsOf(server: Server): Promise<Metrics> {
  const answer = await fetch(`${server.origin}/metrics`, { headers: { connection: 'close' } });
  if (!answer.ok) throw new Error(`/metrics answered ${answer.status}`);
  return new Metrics(await answer.text());
}
