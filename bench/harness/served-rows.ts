/** What a bench asks of a server's table beside its load: whether all is in memory, what an answer is like, and what was counted. */

import { setTimeout as sleep } from 'node:timers/promises';

const SAMPLED = 401;

/** Until the preload and, where one is wanted, the key index are there. */
export async function untilLoaded(origin: string, table: string): Promise<void> {
  for (;;) {
    const { preload, index } = (await (await ok(`${origin}/v1/tables/${table}`)).json()) as {
      readonly preload: { readonly state: string };
      readonly index?: { readonly state: string };
    };
    if (preload.state === 'done' && index?.state !== 'building') return;
    if (['failed', 'cancelled'].includes(preload.state)) throw new Error(`the preload is ${preload.state}`);
    await sleep(1000);
  }
}

export interface Answer {
  /** Without those that HTTP itself sets. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Of keys evenly spread from 1 to the last, the answer of the median length. */
export async function typicalAnswer(urlBeforeKey: string, lastKey: number, urlAfterKey = ''): Promise<Answer> {
  const ofHttp = new Set(['date', 'connection', 'keep-alive', 'content-length']);
  const answers: Answer[] = [];
  for (let i = 0; i < SAMPLED; i++) {
    const answer = await ok(`${urlBeforeKey}${1 + Math.floor((i * (lastKey - 1)) / (SAMPLED - 1))}${urlAfterKey}`);
    const headers = Object.fromEntries([...answer.headers].filter(([name]) => !ofHttp.has(name)));
    answers.push({ headers, body: await answer.text() });
  }
  const inOrder = answers.toSorted((a, b) => Buffer.byteLength(a.body) - Buffer.byteLength(b.body));
  const median = inOrder[SAMPLED >> 1];
  if (median === undefined) throw new Error('nothing was sampled');
  return median;
}

/** Where answers came from, since the server began. */
export interface ServedCounts {
  /** Rows answered from those that are kept encoded. */
  readonly kept: number;
  /** Rows that were not found there. */
  readonly notKept: number;
  readonly storageGets: number;
  readonly blocksAdmitted: number;
  readonly blocksEvicted: number;
}

export async function servedCounts(origin: string): Promise<ServedCounts> {
  const text = await (await ok(`${origin}/metrics`)).text();
  const sum = (name: string, label = '') => {
    const samples = text.split('\n').filter((line) => line.startsWith(name) && /[ {]/.test(line.charAt(name.length)));
    if (samples.length === 0) throw new Error(`the server tells nothing of ${name}`);
    return samples
      .filter((line) => line.includes(label))
      .reduce((all, line) => all + Number(line.split(' ').at(-1)), 0);
  };
  return {
    kept: sum('pointlake_row_cache_hits_total'),
    notKept: sum('pointlake_row_cache_misses_total'),
    storageGets: sum('pointlake_store_operations_total', 'operation="get"'),
    blocksAdmitted: sum('pointlake_blocks_admitted_total'),
    blocksEvicted: sum('pointlake_blocks_evicted_total'),
  };
}

export function countsSince(before: ServedCounts, now: ServedCounts): ServedCounts {
  const names = Object.keys(now) as (keyof ServedCounts)[];
  return Object.fromEntries(names.map((name) => [name, now[name] - before[name]])) as unknown as ServedCounts;
}

async function ok(url: string): Promise<Response> {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}: ${await answer.text()}`);
  return answer;
}
