/**
 * A peer in a process of its own, so that its memory can be told: `peer-process.ts convert|serve FILES NAME`. Serving, it
 * carries out what the bench sends it, one thing at a time.
 */

import { createHash } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { randomNumbers } from '../harness/access-traces.ts';
import { PEERS } from './all-peers.ts';
import type { OpenPeer, PeerFiles } from './peer.ts';
import { canonical } from './table.ts';

export type Order =
  | { readonly kind: 'digest'; readonly ids: readonly number[] }
  | { readonly kind: 'round'; readonly seconds: number; readonly seed: number };

export interface RoundResult {
  readonly perSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly lookups: number;
}

export type Report =
  | { readonly kind: 'ready'; readonly ms: number }
  | { readonly kind: 'digest'; readonly digest: string }
  | { readonly kind: 'round'; readonly result: RoundResult }
  | { readonly kind: 'failed'; readonly reason: string };

/** Of what is answered at once: after so many lookups others in the process have their turn. */
const LOOKUPS_A_TURN = 1024;
/** However slow a peer is, a round has so many lookups. */
const LOOKUPS_MIN = 3;

const [mode, filesJson = '', name] = process.argv.slice(2);
const files = JSON.parse(filesJson) as PeerFiles;
const report = (what: Report) => {
  process.send?.(what);
};
const failed = (thrown: unknown) => report({ kind: 'failed', reason: (thrown as Error).message });

try {
  const peer = PEERS.find((one) => one.name === name);
  if (peer === undefined) throw new Error(`there is no peer ${name}`);
  const started = performance.now();
  if (mode === 'convert') {
    await peer.convert?.(files);
    report({ kind: 'ready', ms: performance.now() - started });
    process.disconnect?.();
  } else {
    serve(await peer.open(files));
    report({ kind: 'ready', ms: performance.now() - started });
  }
} catch (thrown) {
  failed(thrown);
  process.disconnect?.();
}

function serve(open: OpenPeer): void {
  process.on('message', (order: Order) => {
    const done = order.kind === 'digest' ? digest(open, order.ids) : round(open, order);
    done.then(report, failed);
  });
  process.once('disconnect', () => process.exit(0));
}

async function digest({ ask, asRow }: OpenPeer, ids: readonly number[]): Promise<Report> {
  const hash = createHash('sha256');
  for (const id of ids) {
    const text = canonical(asRow(await ask(id)));
    if (!text.startsWith(`[${id},`)) throw new Error(`key ${id} was answered with ${text}`);
    hash.update(text);
  }
  return { kind: 'digest', digest: hash.digest('hex').slice(0, 16) };
}

/** One lookup after another. What is answered at once is not waited for; turns of the process count for the rate. */
async function round(
  { ask }: OpenPeer,
  { seconds, seed }: { readonly seconds: number; readonly seed: number },
): Promise<Report> {
  const random = randomNumbers(seed);
  const took: number[] = [];
  const started = performance.now();
  const end = started + seconds * 1000;
  let before = started;
  while (before < end || took.length < LOOKUPS_MIN) {
    const answer = ask(random() % files.rows);
    const row = answer instanceof Promise ? await answer : answer;
    if (row === undefined || row === null) throw new Error('a key that is there was not found');
    const now = performance.now();
    took.push(now - before);
    before = now;
    if (took.length % LOOKUPS_A_TURN > 0) continue;
    await turn();
    before = performance.now();
  }
  took.sort((a, b) => a - b);
  const atUs = (share: number) => (took[Math.floor(share * took.length)] ?? Number.NaN) * 1000;
  const perSecond = (took.length * 1000) / (before - started);
  return { kind: 'round', result: { perSecond, p50Us: atUs(0.5), p99Us: atUs(0.99), lookups: took.length } };
}
