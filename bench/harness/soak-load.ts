/**
 * The load of the soak: rows, values, batches as JSON and as Arrow, queries, absent keys, bad requests, clients that leave,
 * refreshes; keys by Zipf and uniform. Every answer is held against what was written; the first that is wrong, or of a status that its request
 * does not explain, ends the run.
 */

import assert from 'node:assert/strict';
import { tableFromIPC } from 'apache-arrow';
import type { Asked, Asker } from '../../test/support/ask.ts';
import { seeded } from '../../test/support/latency-proxy.ts';
import type { SoakTable } from './soak-tables.ts';

const ZIPF = 0.99;
const BATCH_KEYS_MAX = 50;
/** Of batches, those of as many keys as a request may have, where rows are small. */
const LARGE_BATCH_SHARE = 0.05;
const LARGE_BATCH_KEYS = 1000;
const QUERY_ROWS_MAX = 2000;
const SCATTER = 2_654_435_761;

export interface LoadCounts {
  requests: number;
  rowsChecked: number;
  absent: number;
  refused: number;
  left: number;
  refreshes: number;
  queries: number;
  /** By the tier that answered. */
  readonly tiers: Record<string, number>;
  /** Milliseconds of rows since they were last taken. */
  rowMs: number[];
}

/** What is refused, with the status that says so. */
const BAD_REQUESTS: readonly (readonly [path: string, status: number, body?: string])[] = [
  ['/v1/tables/nothing/rows/1', 404],
  ['/v1/nowhere', 404],
  ['/v1/tables/numbers/rows/1?columns=nope', 400],
  ['/v1/tables/numbers/rows/abc', 400],
  ['/v1/tables/numbers/rows/007', 400],
  ['/v1/tables/numbers/rows/%zz', 400],
  ['/v1/tables/numbers/rows/1/2/3', 400],
  ['/v1/tables/numbers/rows/1', 405, '{}'],
  ['/v1/tables/numbers/lookup', 400, '{"keys":[1,'],
  ['/v1/tables/numbers/lookup', 400, '{"keys":"all"}'],
  ['/v1/tables/numbers/lookup', 413, `{"keys":[${Array.from({ length: 1001 }, (_, i) => i).join(',')}]}`],
  ['/v1/tables/numbers/lookup', 413, JSON.stringify({ keys: ['x'.repeat(2 ** 20)] })],
];

export class SoakLoad {
  readonly counts: LoadCounts = {
    requests: 0,
    rowsChecked: 0,
    absent: 0,
    refused: 0,
    left: 0,
    refreshes: 0,
    queries: 0,
    tiers: {},
    rowMs: [],
  };
  readonly #tables: readonly SoakTable[];
  readonly #asker: Asker;
  readonly #random: () => number;

  constructor(tables: readonly SoakTable[], asker: Asker, seed: number) {
    this.#tables = tables.flatMap((table) => Array.from({ length: table.weight }, () => table));
    this.#asker = asker;
    this.#random = seeded(seed);
  }

  /** One request of some kind, checked. */
  step(): Promise<void> {
    this.counts.requests += 1;
    const table = this.#pick(this.#tables);
    const kind = this.#random();
    if (kind < 0.47) return this.#row(table);
    if (kind < 0.59) return this.#value(table);
    if (kind < 0.72) return this.#batch(table);
    if (kind < 0.76) return this.#arrow(table);
    if (kind < 0.8) return this.#query(table);
    if (kind < 0.88) return this.#absent(table);
    if (kind < 0.94) return this.#bad();
    if (kind < 0.985) return this.#leave(table);
    if (kind < 0.998) return this.#describe(table);
    return this.#refresh(table);
  }

  async #row(table: SoakTable): Promise<void> {
    const row = this.#rowNumber(table);
    const columns = this.#columns(table);
    const started = performance.now();
    const answer = await this.#asker.ask(`${rowPath(table, table.keyOf(row))}?columns=${columns.join(',')}`);
    this.counts.rowMs.push(performance.now() - started);
    expect(answer, 200, table.keyOf(row));
    assert.equal(answer.text, jsonOf(table, row, columns));
    this.#count(answer, 1);
  }

  async #value(table: SoakTable): Promise<void> {
    const row = this.#rowNumber(table);
    const path = `/v1/tables/${table.name}/values/${table.textColumn}/${pathOf(table.keyOf(row))}`;
    const answer = await this.#asker.ask(path);
    expect(answer, 200, path);
    assert.equal(answer.text, String(table.rowOf(row)[table.textColumn]));
    this.#count(answer, 1);
  }

  async #batch(table: SoakTable): Promise<void> {
    const { rows, isAbsent, asked, columns, body } = this.#keys(table);
    const answer = await this.#asker.ask(`/v1/tables/${table.name}/lookup`, { body });
    expect(answer, 200, body);
    const items = rows.map((row, i) => {
      const key = `{"key":${asked[i]},"status":`;
      return isAbsent[i] ? `${key}"not_found"}` : `${key}"found","row":${jsonOf(table, row, columns)}}`;
    });
    assert.equal(answer.text, `{"results":[${items.join(',')}]}`);
    this.#count(answer, rows.length);
  }

  async #arrow(table: SoakTable): Promise<void> {
    const { rows, isAbsent, columns, body } = this.#keys(table);
    const headers = { accept: 'application/vnd.apache.arrow.stream' };
    const answer = await this.#asker.ask(`/v1/tables/${table.name}/lookup`, { body, headers });
    expect(answer, 200, body);
    const found = tableFromIPC(answer.bytes).toArray() as readonly Readonly<Record<string, unknown>>[];
    assert.equal(found.length, rows.length);
    for (const row of found) {
      const at = Number(row.pointlake_key);
      assert.equal(row.pointlake_status, isAbsent[at] ? 'not_found' : 'found');
      const whole = table.rowOf(rows[at] ?? -1);
      for (const column of columns) {
        const wanted = isAbsent[at] ? null : whole[column];
        assert.deepEqual(plain(row[column], wanted), wanted);
      }
    }
    this.#count(answer, rows.length);
  }

  /** Rows between two keys, where the table is in the order of its keys. */
  async #query(table: SoakTable): Promise<void> {
    if (table.index === 'hash') return this.#batch(table);
    const first = Math.floor(this.#random() * table.rows);
    const count = Math.ceil(this.#random() * (table.name === 'documents' ? 4 : QUERY_ROWS_MAX));
    const rows = Array.from({ length: Math.min(count, table.rows - first) }, (_, i) => first + i);
    const columns = this.#columns(table);
    const [from, to] = [table.keyOf(first), table.keyOf(rows.at(-1) ?? first)];
    const where = `{"column":"${table.key}","op":"between","value":[${from},${to}]}`;
    const body = `{"where":${where},"columns":${JSON.stringify(columns)},"limit":${rows.length + 1}}`;
    const answer = await this.#asker.ask(`/v1/tables/${table.name}/query`, { body });
    expect(answer, 200, body);
    assert.equal(answer.text, `{"rows":[${rows.map((row) => jsonOf(table, row, columns)).join(',')}]}`);
    this.counts.queries += 1;
    this.counts.rowsChecked += rows.length;
  }

  #keys(table: SoakTable) {
    const isLarge = table.name !== 'documents' && this.#random() < LARGE_BATCH_SHARE;
    const keysMax = table.name === 'documents' ? 8 : isLarge ? LARGE_BATCH_KEYS : BATCH_KEYS_MAX;
    const keys = 1 + Math.floor(this.#random() * keysMax);
    const rows = Array.from({ length: keys }, () => this.#rowNumber(table));
    const isAbsent = rows.map(() => this.#random() < 0.1);
    const columns = this.#columns(table);
    const asked = rows.map((row, i) => (isAbsent[i] ? table.absentKey(row) : table.keyOf(row)));
    const body = `{"keys":[${asked.join(',')}],"columns":${JSON.stringify(columns)}}`;
    return { rows, isAbsent, asked, columns, body };
  }

  async #absent(table: SoakTable): Promise<void> {
    const key = table.absentKey(this.#rowNumber(table));
    expect(await this.#asker.ask(rowPath(table, key)), 404, key);
    this.counts.absent += 1;
  }

  async #bad(): Promise<void> {
    const [path, status, body] = this.#pick(BAD_REQUESTS);
    expect(await this.#asker.ask(path, body === undefined ? {} : { body }), status, path);
    this.counts.refused += 1;
  }

  /** Goes away at some moment of the answer; where it came first it must be right. */
  async #leave(table: SoakTable): Promise<void> {
    const row = Math.floor(this.#random() * table.rows);
    const leaving = new AbortController();
    const timer = setTimeout(() => leaving.abort(), this.#random() * 6);
    try {
      const answer = await this.#asker.ask(rowPath(table, table.keyOf(row)), { signal: leaving.signal });
      expect(answer, 200, table.keyOf(row));
      assert.equal(answer.text, jsonOf(table, row, table.columns));
    } catch (thrown) {
      if (!leaving.signal.aborted || thrown instanceof assert.AssertionError) throw thrown;
      this.counts.left += 1;
    } finally {
      clearTimeout(timer);
    }
  }

  async #describe(table: SoakTable): Promise<void> {
    for (const path of ['/v1/tables', `/v1/tables/${table.name}`, '/healthz', '/readyz']) {
      expect(await this.#asker.ask(path), 200, path);
    }
  }

  async #refresh(table: SoakTable): Promise<void> {
    const path = `/v1/tables/${table.name}/refresh`;
    expect(await this.#asker.ask(path, { body: '' }), 200, path);
    this.counts.refreshes += 1;
  }

  #count({ headers }: Asked, rows: number): void {
    const tier = String(headers['pointlake-cache']);
    this.counts.tiers[tier] = (this.counts.tiers[tier] ?? 0) + 1;
    this.counts.rowsChecked += rows;
  }

  /** Half of them by Zipf's law, scattered over the table. */
  #rowNumber({ rows }: SoakTable): number {
    if (this.#random() < 0.5) return Math.floor(this.#random() * rows);
    const rank = ((rows ** (1 - ZIPF) - 1) * this.#random() + 1) ** (1 / (1 - ZIPF));
    return (Math.floor(rank) * SCATTER) % rows;
  }

  /** All, or two of them. */
  #columns({ columns }: SoakTable): readonly string[] {
    if (this.#random() < 0.5) return columns;
    return [...new Set([this.#pick(columns), this.#pick(columns)])];
  }

  #pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#random() * from.length)] as T;
  }
}

function expect({ status, text }: Asked, wanted: number, what: string): void {
  assert.equal(status, wanted, `${what.slice(0, 200)}: ${text.slice(0, 500)}`);
}

function jsonOf(table: SoakTable, row: number, columns: readonly string[]): string {
  const whole = table.rowOf(row);
  return JSON.stringify(Object.fromEntries(columns.map((column) => [column, whole[column]])));
}

/** A value of Arrow as the rows have it: nested ones come as their JSON, integers of 64 bits as a bigint. */
function plain(value: unknown, wanted: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  return typeof value === 'string' && typeof wanted === 'object' ? JSON.parse(value) : value;
}

function rowPath(table: SoakTable, key: string): string {
  return `/v1/tables/${table.name}/rows/${pathOf(key)}`;
}

function pathOf(key: string): string {
  return encodeURIComponent(String(JSON.parse(key)));
}
