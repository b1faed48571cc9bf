/** Lookups through our own engine in this process, as a load sends them: what is left when HTTP is taken away. */

import type { AnswerKind, Done, Sender, Tier } from '../bench/index.ts';
import { asServiceError } from '../core/index.ts';
import { type Key, type Projection, parseKeyText, type Snapshot } from '../table/index.ts';
import type { AskRows } from './bench-check.ts';
import type { OneTable } from './one-table.ts';

export class EngineSender implements Sender {
  onKeyStatus: ((status: string) => void) | undefined;
  readonly #opened: OneTable;
  readonly #projection: Projection;
  readonly #isBatch: boolean;
  readonly #timeoutMs: number;

  constructor(opened: OneTable, columns: readonly string[] | undefined, isBatch: boolean, timeoutMs: number) {
    this.#opened = opened;
    this.#projection = opened.snapshot.projection(columns);
    this.#isBatch = isBatch;
    this.#timeoutMs = timeoutMs;
  }

  send(_lane: number, paths: readonly string[], done: Done): void {
    if (this.#isBatch) void this.#batch(paths, done).catch((thrown) => failed(thrown, done));
    else this.#row(paths[0] ?? '', done);
  }

  async close(): Promise<void> {}

  #row(path: string, done: Done): void {
    const { node, snapshot } = this.#opened;
    let key: Key;
    let json: string | null | undefined;
    try {
      key = keyOf(snapshot, path);
      json = node.engine.tryRow(snapshot, key, this.#projection);
    } catch (thrown) {
      return void failed(thrown, done);
    }
    if (json !== undefined) return void answered(json, done, 'memory');
    node.engine
      .row(snapshot, key, this.#projection, AbortSignal.timeout(this.#timeoutMs))
      .then(({ json: text, tier }) => answered(text, done, tier))
      .catch((thrown) => failed(thrown, done));
  }

  async #batch(paths: readonly string[], done: Done): Promise<void> {
    const { node, snapshot } = this.#opened;
    const keys = paths.map((path) => keyOf(snapshot, path));
    const wanted = { matches: 'first', limit: 1 } as const;
    const { items, tier } = await node.engine.lookup(
      snapshot,
      keys,
      this.#projection,
      wanted,
      AbortSignal.timeout(this.#timeoutMs),
    );
    let bytes = 0;
    for (const item of items) {
      this.onKeyStatus?.(item.status);
      if (item.status === 'found' && 'row' in item) bytes += item.row.length;
    }
    done('found', 'batch', bytes, tier);
  }
}

/** For the check of answers; the engine's own JSON. */
export function engineRows({ node, snapshot }: OneTable, columns: readonly string[] | undefined): AskRows {
  const projection = snapshot.projection(columns, { int64: 'number', nonfinite: 'null' });
  return async (paths) => {
    const answers: (string | undefined)[] = [];
    for (const path of paths) {
      const { json } = await node.engine.row(snapshot, keyOf(snapshot, path), projection, new AbortController().signal);
      answers.push(json ?? undefined);
    }
    return answers;
  };
}

function keyOf(snapshot: Snapshot, path: string): Key {
  const parts = path.split('/').map(decodeURIComponent);
  return snapshot.keyLeaves.map((leaf, i) => parseKeyText(leaf, parts[i] ?? ''));
}

function answered(json: string | null, done: Done, tier: Tier): void {
  if (json === null) done('absent', 'not_found', 0, tier);
  else done('found', 'found', json.length, tier);
}

/** What is not answered in time is given up, anything else refused. */
export function failed(thrown: unknown, done: Done): void {
  const { kind, code } = asServiceError(thrown);
  const isTimeout = kind === 'timeout' || (thrown instanceof Error && thrown.name === 'TimeoutError');
  const answer: AnswerKind = isTimeout ? 'gaveUp' : 'refused';
  done(answer, isTimeout ? 'timeout' : code, 0);
}
