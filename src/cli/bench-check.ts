/** Holds sampled answers against a plain full read of the source, before anything is timed. */

import { type Checked, type HttpTarget, type KeySpace, seededRandom } from '../bench/index.ts';
import { asServiceError, ServiceError } from '../core/index.ts';
import { scan } from '../shard/index.ts';
import { pathAt } from './bench-keys.ts';
import type { OneTable } from './one-table.ts';
import { rowText } from './scan.ts';

/** Rows of one key that an answer may be, whichever the table's `duplicates` choose. */
const ROWS_A_KEY_MAX = 1000;
const BATCH_MAX = 100;
const REQUEST_MS_MAX = 30_000;

/** The rows of keys as JSON; undefined where there is none. */
export type AskRows = (paths: readonly string[]) => Promise<readonly (string | undefined)[]>;

/** Keys whose rows come before the answers do. */
export function sampleOf(keys: KeySpace, count: number, seed: number): readonly string[] {
  const random = seededRandom(seed);
  const sample = new Set<string>();
  const size = keys.kind === 'range' ? keys.count : keys.paths.length;
  for (let i = 0; i < count; i++) {
    const position = Math.floor(random() * size);
    sample.add(keys.kind === 'range' ? String(keys.first + position) : (keys.paths[position] ?? ''));
  }
  return [...sample];
}

export async function checkAnswers(
  { node, snapshot }: OneTable,
  columns: readonly string[] | undefined,
  sample: readonly string[],
  ask: AskRows,
): Promise<Checked> {
  const wanted = new Map<string, string[]>(sample.map((path) => [path, []]));
  const projection = snapshot.projection(columns, { int64: 'number', nonfinite: 'null' });
  const { keyColumns, keyLeaves } = snapshot;
  const scanned = [...projection.columns, ...keyColumns];
  for await (const stretch of scan(node.loader, snapshot, scanned, new AbortController().signal)) {
    const writers = projection.writersFor(stretch.file.mapping);
    for (let row = stretch.start; row < stretch.end; row++) {
      const path = pathAt(stretch, keyColumns, keyLeaves, projection.columns.length, row);
      const rows = path === undefined ? undefined : wanted.get(path);
      if (rows !== undefined && rows.length < ROWS_A_KEY_MAX) {
        rows.push(JSON.stringify(JSON.parse(rowText(stretch, projection, writers, row))));
      }
    }
  }
  const wrong: string[] = [];
  for (let at = 0; at < sample.length; at += BATCH_MAX) {
    const paths = sample.slice(at, at + BATCH_MAX);
    const answers = await ask(paths);
    for (const [i, path] of paths.entries()) {
      const rows = wanted.get(path) ?? [];
      const answer = answers[i];
      const isRight = answer === undefined ? rows.length === 0 : rows.includes(JSON.stringify(JSON.parse(answer)));
      if (!isRight) wrong.push(path);
    }
  }
  return { keys: sample.length, wrong };
}

/** Over HTTP: one row after the other, or as a load of batches asks for them. */
export function httpRows(
  { url, headers, columns }: Extract<HttpTarget, { kind: 'table' }>,
  isBatch: boolean,
  all: readonly string[],
): AskRows {
  const wanted = columns ?? all;
  return isBatch ? batches : singles;

  async function singles(paths: readonly string[]): Promise<readonly (string | undefined)[]> {
    const query = `columns=${wanted.map(encodeURIComponent).join('&columns=')}&int64=number&nonfinite=null`;
    const answers: (string | undefined)[] = [];
    for (const path of paths) {
      const answer = await asked(`${url}/rows/${path}?${query}`, { headers });
      answers.push(answer.status === 404 ? undefined : await textOf(answer));
    }
    return answers;
  }

  async function batches(paths: readonly string[]): Promise<readonly (string | undefined)[]> {
    const keys = paths.map((path) =>
      path.includes('/') ? path.split('/').map(decodeURIComponent) : decodeURIComponent(path),
    );
    const answer = await asked(`${url}/lookup?int64=number&nonfinite=null`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify({ keys, columns: wanted }),
    });
    const { results } = JSON.parse(await textOf(answer)) as { readonly results: readonly Result[] };
    return results.map(({ status, row, error }) => {
      if (status === 'found') return JSON.stringify(row);
      if (status === 'not_found') return undefined;
      throw new ServiceError('unavailable', 'unavailable', `${url} answered a key ${status}: ${error?.detail ?? ''}`);
    });
  }
}

interface Result {
  readonly status: string;
  readonly row?: unknown;
  readonly error?: { readonly detail?: string };
}

/** A first request by which a wrong address, table or key form is told before a load is begun. */
export async function asked(url: string, options: RequestInit): Promise<Response> {
  try {
    return await fetch(url, { ...options, signal: AbortSignal.timeout(REQUEST_MS_MAX) });
  } catch (thrown) {
    const { cause, message } = thrown as Error;
    const reason = cause instanceof Error ? asServiceError(cause).message : message;
    throw new ServiceError('unavailable', 'unavailable', `no server answers at ${url}: ${reason}`, {}, thrown);
  }
}

export async function textOf(answer: Response): Promise<string> {
  const text = await answer.text();
  if (answer.ok) return text;
  const detail = /"detail":("(?:[^"\\]|\\.)*")/.exec(text)?.[1];
  const what = detail === undefined ? text.slice(0, 200) : JSON.parse(detail);
  throw new ServiceError('unavailable', 'unavailable', `${answer.url} answered ${answer.status}: ${what}`);
}
