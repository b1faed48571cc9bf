/** Stores that take a copy of the rows and index it. Each copy is made from the file that is sorted by key. */

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { DuckDBInstance } from '@duckdb/node-api';
import type { OpenPeer, Peer, PeerFiles } from './peer.ts';
import { type Chunk, COLUMNS, chunksOf, parquetPath, type Row, rowAt } from './table.ts';

const packages = createRequire(import.meta.url);
const asRow = (answer: unknown) => answer as Row | undefined;
const sortedFile = ({ folder }: PeerFiles) => parquetPath(folder, 'sorted');

export const peers: readonly Peer[] = [
  { name: 'DuckDB table, index', answers: 'object', convert: convertToDuckDb, open: openDuckDb },
  { name: 'LanceDB, BTREE', answers: 'object', convert: convertToLance, open: openLance },
  { name: 'SQLite, primary key', answers: 'object', convert: convertToSqlite, open: openSqlite },
  { name: 'lmdb', answers: 'object', convert: convertToLmdb, open: openLmdb },
];

async function convertToDuckDb(files: PeerFiles): Promise<void> {
  const instance = await DuckDBInstance.create(join(files.own, 'rows.duckdb'));
  const connection = await instance.connect();
  await connection.run(`CREATE TABLE rows AS SELECT * FROM read_parquet('${sortedFile(files)}')`);
  await connection.run('CREATE UNIQUE INDEX by_id ON rows (id)');
  await connection.run('CHECKPOINT');
  connection.closeSync();
  instance.closeSync();
}

async function openDuckDb({ own }: PeerFiles): Promise<OpenPeer> {
  const instance = await DuckDBInstance.create(join(own, 'rows.duckdb'), { access_mode: 'READ_ONLY' });
  const connection = await instance.connect();
  const statement = await connection.prepare('SELECT * FROM rows WHERE id = $1');
  const ask = async (id: number) => {
    statement.bindBigInt(1, BigInt(id));
    return (await statement.runAndReadAll()).getRowObjects()[0];
  };
  return { ask, asRow, close: () => connection.closeSync() };
}

/** The parts of packages that are used: they are there only once this bench has installed them. */
interface Lance {
  connect(path: string): Promise<{
    createTable(name: string, data: unknown): Promise<LanceTable>;
    openTable(name: string): Promise<LanceTable>;
  }>;
  readonly Index: { btree(): unknown };
}
interface LanceTable {
  add(data: unknown): Promise<unknown>;
  optimize(): Promise<unknown>;
  createIndex(column: string, options: { config: unknown }): Promise<void>;
  query(): { where(predicate: string): { limit(rows: number): { toArray(): Promise<{ toJSON(): Row }[]> } } };
  close(): void;
}
type Arrow = typeof import('apache-arrow');

async function convertToLance(files: PeerFiles): Promise<void> {
  const lance = packages('@lancedb/lancedb') as Lance;
  const arrow = packages('apache-arrow') as Arrow;
  const utf8 = new arrow.Utf8();
  const tableOf = ({ ids, doubles, strings }: Chunk) => {
    const vectors = [arrow.makeVector(ids), ...doubles.map((column) => arrow.makeVector(column))];
    const all = [...vectors, ...strings.map((column) => arrow.vectorFromArray(column, utf8))];
    return new arrow.Table(Object.fromEntries(COLUMNS.map((name, i) => [name, all[i]!])));
  };
  const connection = await lance.connect(files.own);
  let table: LanceTable | undefined;
  for await (const chunk of chunksOf(sortedFile(files))) {
    if (table === undefined) table = await connection.createTable('rows', tableOf(chunk));
    else await table.add(tableOf(chunk));
  }
  await table?.optimize();
  await table?.createIndex('id', { config: lance.Index.btree() });
}

async function openLance({ own }: PeerFiles): Promise<OpenPeer> {
  const lance = packages('@lancedb/lancedb') as Lance;
  const table = await (await lance.connect(own)).openTable('rows');
  const ask = async (id: number) => (await table.query().where(`id = ${id}`).limit(1).toArray())[0]?.toJSON();
  return { ask, asRow, close: () => table.close() };
}

async function convertToSqlite(files: PeerFiles): Promise<void> {
  const database = new DatabaseSync(join(files.own, 'rows.sqlite'));
  database.exec('PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF');
  const typeOf = (name: string) =>
    name === 'id' ? 'INTEGER PRIMARY KEY' : /^f\d+$/.test(name) ? 'REAL NOT NULL' : 'TEXT NOT NULL';
  database.exec(`CREATE TABLE rows (${COLUMNS.map((name) => `${name} ${typeOf(name)}`).join(', ')})`);
  const insert = database.prepare(`INSERT INTO rows VALUES (${COLUMNS.map(() => '?').join(', ')})`);
  for await (const { ids, doubles, strings } of chunksOf(sortedFile(files))) {
    database.exec('BEGIN');
    for (const [at, id] of ids.entries()) {
      insert.run(id, ...doubles.map((column) => column[at]!), ...strings.map((column) => column[at]!));
    }
    database.exec('COMMIT');
  }
  database.close();
}

async function openSqlite({ own }: PeerFiles): Promise<OpenPeer> {
  const database = new DatabaseSync(join(own, 'rows.sqlite'), { readOnly: true });
  database.exec('PRAGMA mmap_size = 34359738368');
  const select = database.prepare('SELECT * FROM rows WHERE id = ?');
  return { ask: (id) => select.get(id), asRow, close: () => database.close() };
}

interface Lmdb {
  open(options: { path: string; sharedStructuresKey: symbol; readOnly?: boolean; noSync?: boolean }): {
    get(key: number): Row | undefined;
    putSync(key: number, value: Row): void;
    transactionSync(work: () => void): void;
    close(): Promise<void>;
  };
}
const lmdbOptions = { sharedStructuresKey: Symbol.for('structures') };

async function convertToLmdb(files: PeerFiles): Promise<void> {
  const lmdb = packages('lmdb') as Lmdb;
  const database = lmdb.open({ path: join(files.own, 'rows.lmdb'), noSync: true, ...lmdbOptions });
  for await (const chunk of chunksOf(sortedFile(files))) {
    database.transactionSync(() => {
      for (let at = 0; at < chunk.ids.length; at++) database.putSync(Number(chunk.ids[at]), rowAt(chunk, at));
    });
  }
  await database.close();
}

async function openLmdb({ own }: PeerFiles): Promise<OpenPeer> {
  const lmdb = packages('lmdb') as Lmdb;
  const database = lmdb.open({ path: join(own, 'rows.lmdb'), readOnly: true, ...lmdbOptions });
  return { ask: (id) => database.get(id), asRow, close: () => database.close() };
}
