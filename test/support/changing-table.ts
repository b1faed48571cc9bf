/**
 * Tables whose objects are replaced while they are read, and the check of every answer.
 *
 * Each row carries the version of its file in every column, so that an answer made of two versions shows. What is known
 * of an answer that is right:
 *
 *     a row          all its columns are of one version, which was written before the answer came
 *     a batch        all rows of one file are of one version
 *     a snapshot     every answer under one snapshot id has the same version of each file
 *     time           an answer is never older than one that had come before it was asked for
 *     a key          that every version has is never called absent
 */

import assert from 'node:assert/strict';
import type { Asked, Asker } from './ask.ts';
import { seeded } from './latency-proxy.ts';
import { parquetBytes } from './scratch.ts';

/** Where the table's objects lie. */
export interface ObjectWriter {
  put(name: string, bytes: Buffer): Promise<void>;
  remove(name: string): Promise<void>;
}

/**
 * How a file's next version comes: over the old one; under another name before the old one goes; or after a time
 * in which there is none.
 */
export type WriteManner = 'replace' | 'rename' | 'delete first';

export interface ChangingTableOptions {
  readonly name: string;
  readonly rowsPerFile: number;
  /** One a file. */
  readonly manners: readonly WriteManner[];
  readonly writer: ObjectWriter;
}

interface Row {
  readonly id: number;
  readonly version: number;
  readonly kind: string;
  readonly ratio: number;
  readonly text: string;
}

type Column = keyof Row;

const COLUMN_SETS: readonly (readonly Column[])[] = [
  ['id', 'version', 'kind', 'ratio', 'text'],
  ['version', 'text'],
  ['kind', 'ratio'],
  ['text', 'kind', 'version'],
];
const BATCH_KEYS = 12;
/** Rows checked from one version of a file to the next. */
const ANSWERS_APART_MAX = 500;
/** What may come instead of an answer while objects change. */
const PASSING = new Set(['changed', 'snapshot_changing']);

export interface ChangeCounts {
  /** Rows and values that were held against what was written. */
  checked: number;
  batches: number;
  written: number;
  /** Versions of files that answers were seen to have. */
  versionsSeen: number;
  /** By code: what came instead of an answer. */
  refused: Record<string, number>;
}

function rowOf(id: number, version: number): Row {
  return {
    id,
    version,
    kind: `v${version}`,
    ratio: version + id / 2 ** 20,
    text: `v${version} of ${id} ${'.'.repeat(100)}`,
  };
}

function versionOf(row: Partial<Row>): number {
  return row.version ?? Number(/^v(\d+)/.exec(row.kind ?? row.text ?? '')?.[1]);
}

export class ChangingTable {
  readonly name: string;
  readonly counts: ChangeCounts = { checked: 0, batches: 0, written: 0, versionsSeen: 0, refused: {} };
  readonly #options: ChangingTableOptions;
  /** By file: the last version whose writing has begun, and the newest that an answer had. */
  readonly #begun: number[];
  readonly #seen: number[];
  /** By snapshot id: the version of each file. */
  readonly #ofSnapshot = new Map<string, number[]>();
  readonly #waiting = new Set<{ readonly checked: number; readonly wake: () => void }>();

  constructor(options: ChangingTableOptions) {
    this.name = options.name;
    this.#options = options;
    this.#begun = options.manners.map(() => 0);
    this.#seen = options.manners.map(() => 0);
  }

  /** Numbers of the files, one for each writer. */
  get files(): readonly number[] {
    return [...this.#begun.keys()];
  }

  get rows(): number {
    return this.#options.rowsPerFile * this.#options.manners.length;
  }

  /** The first version of every file. */
  async fill(): Promise<void> {
    for (const file of this.#begun.keys())
      await this.#options.writer.put(this.#objectName(file, 0), this.#bytes(file, 0));
  }

  /** Writes versions of one file until `over`: at times one after the other, at times with long calm between them. */
  async keepWriting(file: number, seed: number, over: AbortSignal): Promise<void> {
    const random = seeded(seed);
    for (;;) {
      await this.#answers(Math.floor(ANSWERS_APART_MAX * random() ** 3), over);
      if (over.aborted) return;
      await this.write(file);
    }
  }

  /** The next version of a file, in its manner. */
  async write(file: number): Promise<void> {
    const { manners, writer } = this.#options;
    const before = this.#begun[file] ?? 0;
    const version = before + 1;
    const bytes = this.#bytes(file, version);
    this.#begun[file] = version;
    this.counts.written += 1;
    if (manners[file] === 'delete first') {
      await writer.remove(this.#objectName(file, before));
      // The gap is as long as a few answers take, so that some are read in it.
      await this.#answers(5, AbortSignal.timeout(2000));
    }
    await writer.put(this.#objectName(file, version), bytes);
    if (manners[file] === 'rename') await writer.remove(this.#objectName(file, before));
  }

  /** Until so many more answers were checked. */
  #answers(more: number, over: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (over.aborted) return resolve();
      const waiting = { checked: this.counts.checked + more, wake: resolve };
      this.#waiting.add(waiting);
      over.addEventListener('abort', () => resolve(), { once: true });
    });
  }

  #objectName(file: number, version: number): string {
    const { manners } = this.#options;
    return manners[file] === 'rename' ? `${file}-${version}.parquet` : `${file}.parquet`;
  }

  #bytes(file: number, version: number): Buffer {
    const { rowsPerFile } = this.#options;
    const rows = Array.from({ length: rowsPerFile }, (_, i) => rowOf(file * rowsPerFile + i, version));
    return parquetBytes(
      [
        { name: 'id', data: rows.map((row) => row.id), type: 'INT32', encoding: 'PLAIN', nullable: false },
        { name: 'version', data: rows.map((row) => row.version), type: 'INT32', encoding: 'PLAIN', nullable: false },
        { name: 'kind', data: rows.map((row) => row.kind), type: 'STRING' },
        { name: 'ratio', data: rows.map((row) => row.ratio), type: 'DOUBLE', encoding: 'PLAIN', nullable: false },
        { name: 'text', data: rows.map((row) => row.text), type: 'STRING', encoding: 'PLAIN' },
      ],
      { rowsPerRowGroup: 2000, pageBytes: 4096, codec: 'UNCOMPRESSED' },
    );
  }

  /** Asks for rows, values and batches until `over`, holding every answer to what may be. */
  async keepReading(asker: Asker, seed: number, over: AbortSignal): Promise<void> {
    const read = this.reader(asker, seed);
    while (!over.aborted) await read();
  }

  /** Asks once a call: some keys again and again, others all over the table. */
  reader(asker: Asker, seed: number): () => Promise<void> {
    const random = seeded(seed);
    const hot = Array.from({ length: 30 }, () => Math.floor(random() * this.rows));
    const key = () =>
      random() < 0.4 ? (hot[Math.floor(random() * hot.length)] ?? 0) : Math.floor(random() * this.rows);
    return () => {
      const kind = random();
      if (kind < 0.6) return this.#askRow(asker, key(), pick(COLUMN_SETS, random()));
      if (kind < 0.75) return this.#askValue(asker, key());
      return this.#askBatch(asker, Array.from({ length: BATCH_KEYS }, key), pick(COLUMN_SETS, random()));
    };
  }

  /** Every row once, after the last write and a refresh: all of the last version. */
  async checkAll(asker: Asker): Promise<void> {
    this.#begun.forEach((version, file) => {
      this.#seen[file] = version;
    });
    for (let id = 0; id < this.rows; id += 97) await this.#askRow(asker, id, pick(COLUMN_SETS, 0));
  }

  async #askRow(asker: Asker, id: number, columns: readonly Column[]): Promise<void> {
    const seen = [...this.#seen];
    const answer = await asker.ask(`/v1/tables/${this.name}/rows/${id}?columns=${columns.join(',')}`);
    if (this.#passes(answer)) return;
    assert.equal(answer.status, 200, `${this.name}/${id}: ${answer.text}`);
    this.#check(answer, [{ id, columns, json: answer.text }], seen);
  }

  async #askValue(asker: Asker, id: number): Promise<void> {
    const seen = [...this.#seen];
    const answer = await asker.ask(`/v1/tables/${this.name}/values/text/${id}`);
    if (this.#passes(answer)) return;
    assert.equal(answer.status, 200, `${this.name}/${id}: ${answer.text}`);
    this.#check(answer, [{ id, columns: ['text'], json: JSON.stringify({ text: answer.text }) }], seen);
  }

  async #askBatch(asker: Asker, ids: readonly number[], columns: readonly Column[]): Promise<void> {
    const seen = [...this.#seen];
    const answer = await asker.ask(`/v1/tables/${this.name}/lookup`, { body: JSON.stringify({ keys: ids, columns }) });
    if (this.#passes(answer)) return;
    assert.equal(answer.status, 200, answer.text);
    const { results } = JSON.parse(answer.text) as { results: BatchItem[] };
    assert.deepEqual(
      results.map(({ key }) => key),
      ids,
    );
    const found = results.flatMap(({ key, status, row, error }) => {
      if (error !== undefined && PASSING.has(error.code)) {
        this.#countRefusal(error.code);
        return [];
      }
      assert.equal(status, 'found', `${this.name}/${key}: ${JSON.stringify(error)}`);
      return [{ id: key, columns, json: JSON.stringify(row) }];
    });
    this.#check(answer, found, seen);
    this.counts.batches += 1;
  }

  /** True for a refusal that may come while objects change. */
  #passes({ status, headers, text }: Asked): boolean {
    if (status !== 503) return false;
    const { code } = JSON.parse(text) as { code: string };
    assert.ok(PASSING.has(code), `${this.name}: ${text}`);
    assert.ok(Number(headers['retry-after']) > 0, 'a 503 says when to come back');
    this.#countRefusal(code);
    return true;
  }

  #countRefusal(code: string): void {
    this.counts.refused[code] = (this.counts.refused[code] ?? 0) + 1;
  }

  #check(answer: Asked, rows: readonly FoundRow[], seenBefore: readonly number[]): void {
    const snapshot = String(answer.headers['pointlake-snapshot']);
    const versions = this.#ofSnapshot.get(snapshot) ?? [];
    this.#ofSnapshot.set(snapshot, versions);
    for (const { id, columns, json } of rows) {
      const file = Math.floor(id / this.#options.rowsPerFile);
      const version = versionOf(JSON.parse(json) as Partial<Row>);
      const whole = rowOf(id, version);
      const expected = JSON.stringify(Object.fromEntries(columns.map((column) => [column, whole[column]])));
      const place = `${this.name}/${id}, snapshot ${snapshot}`;
      assert.equal(json, expected, `${place} is no row of one version`);
      assert.ok(version <= (this.#begun[file] ?? 0), `${place} has version ${version}, which is not written yet`);
      assert.ok(
        version >= (seenBefore[file] ?? 0),
        `${place} has version ${version} after ${seenBefore[file]} was answered`,
      );
      versions[file] ??= version;
      assert.equal(version, versions[file], `${place} has two versions of file ${file}`);
      if (version > (this.#seen[file] ?? 0)) {
        this.#seen[file] = version;
        this.counts.versionsSeen += 1;
      }
      this.counts.checked += 1;
    }
    for (const waiting of this.#waiting) {
      if (waiting.checked > this.counts.checked) continue;
      this.#waiting.delete(waiting);
      waiting.wake();
    }
  }
}

interface FoundRow {
  readonly id: number;
  readonly columns: readonly Column[];
  readonly json: string;
}

interface BatchItem {
  readonly key: number;
  readonly status: string;
  readonly row?: unknown;
  readonly error?: { readonly code: string };
}

function pick<T>(from: readonly T[], share: number): T {
  return from[Math.floor(share * from.length)] as T;
}
