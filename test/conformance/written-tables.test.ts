/**
 * Tables of random schemas, flat and nested, as three writers lay them out: every value of a scan is what other readers
 * read, and every value of every column that can be a key is found in its rows and nowhere else.
 *
 * DuckDB makes the rows and writes them in one page a chunk; the Rust writer of parquet-wasm writes the same rows again in
 * small pages, with page indexes and other encodings; hyparquet-writer adds bloom filters. FUZZ_SEED replays a run.
 */

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { DuckDBInstance } from '@duckdb/node-api';
import { type ColumnSource, parquetWriteBuffer } from 'hyparquet-writer';
import * as wasm from 'parquet-wasm/node';
import { FUZZ_SEED, randomFrom } from '../parquet/support/property.ts';
import { sampled } from '../support/sampled.ts';
import { scratchFolder } from '../support/scratch.ts';
import { measure, type OracleName } from './support/corpus.ts';
import { checkColumn, LookupCounts, searchableColumns } from './support/lookups.ts';

const TABLES = Number(process.env.FUZZ_RUNS ?? sampled(4, 12));
const COLUMNS_MAX = 7;

type Random = () => number;
const below = (random: Random, limit: number) => Math.floor(random() * limit);
const pick = <T>(random: Random, values: readonly T[]): T => values[below(random, values.length)] as T;

/** SQL of a value by `h`, a random number of the row, in domains so small that values repeat; with the extremes. */
const SQL_TYPES: Readonly<Record<string, string>> = {
  BOOLEAN: 'h % 2 = 0',
  TINYINT: '(h % 256)::INTEGER - 128',
  SMALLINT: 'case h % 9 when 0 then -32768 when 1 then 32767 else h % 50 end',
  INTEGER: 'case h % 9 when 0 then -2147483648 when 1 then 2147483647 else (h % 60)::INTEGER - 30 end',
  BIGINT: 'case h % 9 when 0 then -9223372036854775808 when 1 then 9223372036854775807 else (h % 60)::BIGINT - 30 end',
  UTINYINT: 'h % 256',
  USMALLINT: 'case h % 5 when 0 then 65535 else h % 40 end',
  UINTEGER: 'case h % 5 when 0 then 4294967295 when 1 then 2147483648 else h % 40 end',
  UBIGINT: 'case h % 5 when 0 then 18446744073709551615 when 1 then 9223372036854775808 else h % 40 end',
  FLOAT:
    "case h % 11 when 0 then 'nan' when 1 then '-0.0' when 2 then '0' when 3 then '-inf' else (h % 40)::VARCHAR || '.1' end",
  DOUBLE:
    "case h % 11 when 0 then 'nan' when 1 then '-0.0' when 2 then '0' when 3 then 'inf' else (h % 40)::VARCHAR || '.1' end",
  'DECIMAL(4,1)': '((h % 200)::INTEGER - 100) / 10.0',
  'DECIMAL(9,2)': '((h % 200)::INTEGER - 100) / 4.0',
  'DECIMAL(18,3)': "case h % 7 when 0 then '-999999999999999.999' else ((h % 90)::INTEGER - 45)::VARCHAR || '.125' end",
  'DECIMAL(38,10)':
    "case h % 7 when 0 then '-9999999999999999999999999999.9999999999' else ((h % 90)::INTEGER - 45)::VARCHAR end",
  VARCHAR:
    "case h % 9 when 0 then '' when 1 then 'é𝄞' when 2 then repeat('long ', 20) || (h % 30) else 'k' || (h % 40) end",
  BLOB: "('\\x' || printf('%02X', h % 256) || case h % 3 when 0 then '\\xFF' else '' end)",
  DATE: "'1970-01-01'::DATE + ((h % 400)::INTEGER - 200)",
  TIME: "'00:00:00'::TIME + to_microseconds((h % 40)::BIGINT * 1000003)",
  TIMESTAMP: "'1969-12-31 23:59:00'::TIMESTAMP + to_microseconds((h % 90)::BIGINT * 1000007)",
  TIMESTAMP_MS: "'1969-12-31 23:59:00'::TIMESTAMP + to_milliseconds((h % 90)::BIGINT * 1003)",
  TIMESTAMP_NS: "'1969-12-31 23:59:00'::TIMESTAMP + to_microseconds((h % 90)::BIGINT * 1000007)",
  TIMESTAMPTZ: "'1969-12-31 23:59:00+00'::TIMESTAMPTZ + to_microseconds((h % 90)::BIGINT * 1000007)",
  UUID: "('123e4567-e89b-12d3-a456-4266141740' || printf('%02x', h % 60))",
  INTERVAL: 'to_months((h % 5)::INTEGER) + to_days((h % 7)::INTEGER) + to_milliseconds((h % 11)::BIGINT)',
  'INTEGER[]': 'case h % 4 when 0 then [] when 1 then [null, 1] else range((h % 6)::BIGINT) end',
  'VARCHAR[][]': "case h % 4 when 0 then [[], null] when 1 then [] else [['a', null], ['é' || (h % 9)]] end",
  'STRUCT(a INTEGER, b VARCHAR[])':
    "case h % 5 when 0 then {a: null, b: null} else {a: h % 9, b: ['x', null, 'y' || (h % 3)]} end",
  'MAP(VARCHAR, INTEGER)': "case h % 4 when 0 then map() else map(['a', 'k' || (h % 9)], [null, h % 7]) end",
  'MAP(INTEGER, STRUCT(x DOUBLE))': 'case h % 4 when 0 then map() else map([h % 9], [{x: (h % 5) / 4.0}]) end',
  'STRUCT(s STRUCT(t INTEGER[]))[]': 'case h % 4 when 0 then [] else [{s: {t: [h % 5, null]}}, null, {s: null}] end',
};

/** Other readers give these another form than the product, or lose a part. */
const ELSEWHERE: Readonly<Record<Exclude<OracleName, 'documented'>, readonly string[]>> = {
  DuckDB: [],
  // Arrow has bytes for a UUID, and no intervals of this kind.
  'parquet-wasm': ['UUID', 'INTERVAL'],
  // hyparquet clamps the UINTEGERs that DuckDB writes as DELTA_BINARY_PACKED of 64 bits.
  hyparquet: ['INTERVAL', 'UINTEGER'],
};

/** What other readers refuse, though the format allows it. */
const REFUSED_ELSEWHERE: Readonly<Partial<Record<OracleName, RegExp>>> = {
  DuckDB: /BYTE_STREAM_SPLIT encoding is only supported for FLOAT or DOUBLE/,
  'parquet-wasm': /first value too large|'min_delta' too large/,
  // It takes an LZ4_RAW page for Hadoop's frames as long as the lengths in front allow it, and then does not go back.
  hyparquet: /lz4 offset out of range/,
};

interface Column {
  readonly name: string;
  readonly type: string;
  readonly sql: string;
}

function randomColumns(random: Random): readonly Column[] {
  return Array.from({ length: 2 + below(random, COLUMNS_MAX - 1) }, (_, i) => {
    const type = pick(random, Object.keys(SQL_TYPES));
    const nulls = pick(random, [0, 3, 11]);
    // By the row's number in runs, so that pages and row groups have bounds of their own, or at random.
    const spread = pick(random, ['hash(i, SEED)', 'hash(i // 20, SEED)', 'i // 3']).replace(
      'SEED',
      String(below(random, 1e9)),
    );
    const value = `(${SQL_TYPES[type]?.replaceAll(/\bh\b/g, `(${spread})`)})::${type}`;
    const sql = nulls === 0 ? value : `case when hash(i, ${i}) % ${nulls} = 0 then null else ${value} end`;
    return { name: `c${i}`, type, sql };
  });
}

async function writeByDuckdb(path: string, columns: readonly Column[], random: Random): Promise<number> {
  const connection = await (await DuckDBInstance.create()).connect();
  const rows = 1 + below(random, 400);
  const codec = pick(random, ['uncompressed', 'snappy', 'gzip', 'zstd', 'brotli', 'lz4_raw']);
  const version = pick(random, ['V1', 'V2']);
  const select = columns.map(({ name, sql }) => `${sql} as ${name}`).join(', ');
  // Row groups of DuckDB hold whole vectors of 2,048 rows, so two need more rows than are wanted elsewhere.
  const most = random() < 0.1 ? 2500 : rows;
  try {
    await connection.run(
      `copy (select ${select} from range(${most}) t(i)) to '${path}' (format parquet, codec '${codec}', parquet_version ${version}, row_group_size 2048)`,
    );
  } finally {
    connection.closeSync();
  }
  return most;
}

/** The same rows by the Rust writer, in pages as small as its batches; false where it cannot read them. */
function rewriteByWasm(from: string, to: string, random: Random): boolean {
  const codecs = ['UNCOMPRESSED', 'SNAPPY', 'GZIP', 'ZSTD', 'BROTLI', 'LZ4_RAW'] as const;
  const properties = new wasm.WriterPropertiesBuilder()
    .setCompression(wasm.Compression[pick(random, codecs)])
    .setDataPageSizeLimit(pick(random, [64, 512, 8192]))
    .setWriteBatchSize(pick(random, [16, 64, 1024]))
    .setMaxRowGroupSize(pick(random, [37, 150, 10_000]))
    .setDictionaryEnabled(random() < 0.5)
    .setWriterVersion(pick(random, [wasm.WriterVersion.V1, wasm.WriterVersion.V2]))
    .setStatisticsEnabled(
      pick(random, [wasm.EnabledStatistics.None, wasm.EnabledStatistics.Chunk, wasm.EnabledStatistics.Page]),
    )
    .build();
  let table: wasm.Table;
  try {
    table = wasm.readParquet(new Uint8Array(readFileSync(from)));
  } catch (thrown) {
    if (REFUSED_ELSEWHERE['parquet-wasm']?.test(String(thrown))) return false;
    throw thrown;
  }
  writeFileSync(to, wasm.writeParquet(table, properties));
  return true;
}

interface Tally {
  tables: number;
  values: number;
  agreements: number;
  readonly lookups: LookupCounts;
}

/** Every reader agrees on every column, but for those named above; and lookups equal the read. */
async function check(path: string, types: ReadonlyMap<string, string>, seed: number, tally: Tally): Promise<void> {
  const outcome = await measure(path);
  assert.ok(outcome.kind === 'read', JSON.stringify(outcome));
  const agreedBy = new Map([...types.keys()].map((column) => [column, 0]));
  for (const [oracle, agreement] of outcome.agreements) {
    if (agreement.kind === 'fails' && REFUSED_ELSEWHERE[oracle]?.test(agreement.message)) continue;
    const differing =
      agreement.kind === 'differs' ? agreement.columns : agreement.kind === 'fails' ? [...types.keys()] : [];
    const excused = ELSEWHERE[oracle as keyof typeof ELSEWHERE];
    const isExcused = (column: string) => excused.includes(types.get(column) ?? '');
    const surprising = agreement.kind === 'fails' ? !differing.some(isExcused) : !differing.every(isExcused);
    assert.ok(!surprising, `${path} by ${oracle}: ${JSON.stringify(agreement)}, ${JSON.stringify([...types])}`);
    if (agreement.kind === 'flat') continue;
    for (const column of types.keys()) {
      if (!differing.includes(column)) agreedBy.set(column, (agreedBy.get(column) ?? 0) + 1);
    }
  }
  for (const [column, readers] of agreedBy) {
    assert.ok(readers > 0, `no reader reads ${column} as we do`);
    tally.agreements += readers;
  }
  tally.tables += 1;
  tally.values += outcome.rows * outcome.columns;
  for (const column of await searchableColumns(path)) {
    await checkColumn(path, column, { keysMax: 40, absentMax: 15, seed }, tally.lookups);
  }
}

async function tables(
  context: TestContext,
  make: (
    folder: string,
    random: Random,
    n: number,
  ) => Promise<readonly (readonly [string, ReadonlyMap<string, string>])[]>,
): Promise<void> {
  const folder = scratchFolder(context);
  const tally: Tally = { tables: 0, values: 0, agreements: 0, lookups: new LookupCounts() };
  for (let n = 0; n < TABLES; n += 1) {
    try {
      for (const [path, types] of await make(folder, randomFrom(FUZZ_SEED * 31 + n), n)) {
        await check(path, types, FUZZ_SEED + n, tally);
      }
    } catch (thrown) {
      throw new Error(`FUZZ_SEED=${FUZZ_SEED}, table ${n} of FUZZ_RUNS=${TABLES}`, { cause: thrown });
    }
  }
  context.diagnostic(`seed ${FUZZ_SEED}: ${JSON.stringify(tally)}`);
  assert.ok(tally.tables >= TABLES && tally.lookups.columns > TABLES && tally.lookups.keys > TABLES * 5);
}

test('DuckDB wrote it, and the Rust writer wrote it again', async (context) => {
  await tables(context, async (folder, random, n) => {
    const columns = randomColumns(random);
    const types = new Map(columns.map(({ name, type }) => [name, type]));
    const first = join(folder, `duckdb-${n}.parquet`);
    await writeByDuckdb(first, columns, random);
    // Arrow cannot write an interval of months, days and milliseconds again.
    if (columns.some(({ type }) => type === 'INTERVAL')) return [[first, types]];
    const second = join(folder, `rust-${n}.parquet`);
    if (!rewriteByWasm(first, second, random)) return [[first, types]];
    // What Arrow has no type for is written again as what it is stored as.
    const again = new Map([...types].map(([name, type]) => [name, type === 'UUID' ? 'BLOB' : type]));
    return [
      [first, types],
      [second, again],
    ];
  });
});

interface Kind {
  readonly type: ColumnSource['type'];
  readonly value: (random: Random) => unknown;
  readonly encodings: readonly ColumnSource['encoding'][];
}

const FLOATS = [Number.NaN, -0, 0, 1.5, -2.25, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0.1];
const STRINGS = [
  '',
  'a',
  'é𝄞',
  'prefix-1',
  'prefix-2',
  'a string that is longer than what a bound keeps of it: 1',
  'z',
];

const KINDS: readonly Kind[] = [
  { type: 'BOOLEAN', value: (random) => random() < 0.5, encodings: ['PLAIN', 'RLE'] },
  {
    type: 'INT32',
    value: (random) => below(random, 60) - 30,
    encodings: ['PLAIN', 'DELTA_BINARY_PACKED', 'BYTE_STREAM_SPLIT'],
  },
  { type: 'INT64', value: (random) => BigInt(below(random, 60)) - 30n, encodings: ['PLAIN', 'DELTA_BINARY_PACKED'] },
  { type: 'FLOAT', value: (random) => Math.fround(pick(random, FLOATS)), encodings: ['PLAIN', 'BYTE_STREAM_SPLIT'] },
  { type: 'DOUBLE', value: (random) => pick(random, FLOATS), encodings: ['PLAIN', 'BYTE_STREAM_SPLIT'] },
  {
    type: 'STRING',
    value: (random) => pick(random, STRINGS),
    encodings: ['PLAIN', 'DELTA_BYTE_ARRAY', 'DELTA_LENGTH_BYTE_ARRAY'],
  },
  {
    type: 'BYTE_ARRAY',
    value: (random) => Buffer.from(pick(random, STRINGS)),
    encodings: ['PLAIN', 'DELTA_BYTE_ARRAY'],
  },
];

test('hyparquet-writer wrote it, with page indexes and bloom filters', async (context) => {
  await tables(context, async (folder, random, n) => {
    const rows = 1 + below(random, 300);
    const columnData = Array.from({ length: 1 + below(random, COLUMNS_MAX) }, (_, i): ColumnSource => {
      const { type, value, encodings } = pick(random, KINDS);
      const encoding = pick(random, [undefined, ...encodings]);
      const isNullable = random() < 0.6;
      const run = pick(random, [1, 1, 7, 30]);
      let last: unknown = null;
      const data = Array.from({ length: rows }, (_, row) => {
        if (row % run === 0) last = isNullable && random() < 0.2 ? null : value(random);
        return last;
      });
      const hasIndex = random() < 0.7;
      return {
        name: `c${i}`,
        type: type ?? 'INT32',
        data,
        nullable: isNullable,
        columnIndex: hasIndex,
        offsetIndex: hasIndex,
        bloomFilter: type !== 'BOOLEAN' && random() < 0.5,
        ...(encoding === undefined ? {} : { encoding }),
      };
    });
    const path = join(folder, `hyparquet-${n}.parquet`);
    const codec = pick(random, ['UNCOMPRESSED', 'SNAPPY'] as const);
    const layout = { pageSize: pick(random, [40, 300, 10_000]), rowGroupSize: pick(random, [23, 100, 1000]) };
    writeFileSync(path, new Uint8Array(parquetWriteBuffer({ columnData, codec, ...layout })));
    return [[path, new Map(columnData.map(({ name, type }) => [name, String(type)]))]];
  });
});
