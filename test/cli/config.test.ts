/** `pointlake.yaml`: what is right becomes a node's configuration, what is wrong names its line and what would be right. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultConfig, parseConfig } from '../../src/cli/config.ts';

const parse = (text: string, environment: NodeJS.ProcessEnv = {}) =>
  parseConfig(text, '/etc/pointlake.yaml', environment);

test('everything this version knows', () => {
  const config = parse(
    `
server:
  host: 0.0.0.0
  port: \${PORT}
  workers: 2
storage: { s3: { endpoint: "http://127.0.0.1:9000", region: us-east-1, forcePathStyle: true } }
cache: { memory: 4GiB, rows: 64MiB }
limits: { keys: 500, body: 64KiB, valueInRow: 2MiB, gets: 10, bytes: 1MiB }
tables:
  users: { source: "s3://lake/\${STAGE}/", key: user_id, unique: true, refresh: 60s, quota: { memory: 2GiB } }
  docs: { source: docs/*.parquet, key: [tenant, doc_id], allow_empty: true, required: false, format: parquet, json: { int64: string } }
`,
    { PORT: '8081', STAGE: 'prod' },
  );
  assert.deepEqual(config.server, { host: '0.0.0.0', port: 8081, workers: 2 });
  assert.deepEqual(config.s3, { endpoint: 'http://127.0.0.1:9000', region: 'us-east-1', forcePathStyle: true });
  assert.equal(config.cacheMemoryBytes, 4 * 2 ** 30);
  assert.equal(config.cacheRowsBytes, 64 * 2 ** 20);
  assert.deepEqual(config.limits, {
    keys: 500,
    body: 64 * 1024,
    valueInRow: 2 * 2 ** 20,
    gets: 10,
    bytes: 2 ** 20,
  });
  const [users, docs] = config.tables;
  assert.deepEqual(users, {
    name: 'users',
    source: 's3://lake/prod/',
    key: ['user_id'],
    keys: [],
    duplicates: { kind: 'first' },
    projections: [],
    defaultColumns: undefined,
    schema: [],
    partitions: [],
    only: [],
    requireSuccess: false,
    unique: true,
    allowEmpty: false,
    required: true,
    plainParquet: false,
    immutable: false,
    json: { int64: 'number', nonfinite: 'null' },
    index: 'auto',
    preload: undefined,
    memoryQuotaBytes: 2 * 2 ** 30,
    refreshMs: 60_000,
    maxShrink: 0.2,
    settleMs: 30 * 60_000,
  });
  assert.equal(docs?.source, '/etc/docs/*.parquet', 'paths are relative to the file');
  assert.deepEqual(docs?.key, ['tenant', 'doc_id']);
  assert.deepEqual(
    [docs?.allowEmpty, docs?.required, docs?.plainParquet, docs?.json.int64],
    [true, false, true, 'string'],
  );
});

test('further keys, the choice among several rows, and names for columns', () => {
  const { tables } = parse(`
tables:
  t:
    source: a
    key: id
    keys: { url: url, pair: [url, n], mail: { columns: [mail], index: hash } }
    duplicates: latest
    latest_by: [event_ts, n]
    projections: { ranker_v3: [a, b] }
    default_columns: [a]
  once: { source: a, key: id, duplicates: error }
`);
  const [t, once] = tables;
  assert.deepEqual(t?.keys, [
    { name: 'url', columns: ['url'], index: 'auto' },
    { name: 'pair', columns: ['url', 'n'], index: 'auto' },
    { name: 'mail', columns: ['mail'], index: 'hash' },
  ]);
  assert.deepEqual(t?.duplicates, { kind: 'latest', by: ['event_ts', 'n'] });
  assert.deepEqual(t?.projections, [{ name: 'ranker_v3', columns: ['a', 'b'] }]);
  assert.deepEqual(t?.defaultColumns, ['a']);
  assert.deepEqual(once?.duplicates, { kind: 'error' });
});

test('a preload is all, a list, or an object', () => {
  const { tables } = parse(`
tables:
  all: { source: a, key: id, preload: all }
  list: { source: a, key: id, preload: [keys, text] }
  object:
    source: a
    key: id
    preload: { columns: [text], from: 10, to: "99", rate: 50MiB/s, pin: true, ttl: 1h, verify: true }
`);
  const [all, list, object] = tables.map(({ preload }) => preload);
  const plain = { keys: true, from: undefined, to: undefined, into: 'memory', rateBytes: 200 * 2 ** 20 };
  const off = { pin: false, ttlMs: undefined, verify: false, force: false };
  assert.deepEqual(all, { ...plain, ...off, columns: 'all' });
  assert.deepEqual(list, { ...plain, ...off, columns: ['text'] });
  assert.deepEqual(object, {
    ...plain,
    ...off,
    columns: ['text'],
    from: '10',
    to: '99',
    rateBytes: 50 * 2 ** 20,
    pin: true,
    ttlMs: 3_600_000,
    verify: true,
  });
});

test('partitions of a table, and which of them are served', () => {
  const [table] = parse(`
tables:
  t: { source: a, key: id, partitions: { dt: date, hour: int64 }, only: { dt: latest, hour: 7 }, require_success: true }
`).tables;
  assert.deepEqual(
    table?.partitions.map(({ name, type }) => [name, type.physicalType]),
    [
      ['dt', 'INT32'],
      ['hour', 'INT64'],
    ],
  );
  assert.deepEqual(table?.only, [
    { kind: 'latest', name: 'dt' },
    { kind: 'value', name: 'hour', text: '7' },
  ]);
  assert.equal(table?.requireSuccess, true);
  const wrong = (keys: string) => () => parse(`tables:\n  t: { source: a, key: id, ${keys} }`);
  assert.throws(wrong('partitions: { dt: day }'), /partitions\.dt: "day" is no type; expected boolean/);
  assert.throws(wrong('require_success: true'), /require_success: expected `only` beside it/);
  assert.throws(
    wrong('partitions: { dt: date }, schema: { dt: { type: date } }'),
    /partitions\.dt: dt is in `schema` too/,
  );
});

test('columns of a table: types by name, and older names', () => {
  const [table] = parse(`
tables:
  t:
    source: a
    key: id
    schema:
      id: { type: int64, from: [uid, userid] }
      seen: { type: "timestamp(us, utc)" }
      name: { from: [nick] }
`).tables;
  const int64 = { physicalType: 'INT64', typeLength: 0, logicalType: { kind: 'NONE' } };
  const seen = {
    physicalType: 'INT64',
    typeLength: 0,
    logicalType: { kind: 'TIMESTAMP', unit: 'MICROS', isAdjustedToUTC: true },
  };
  assert.deepEqual(table?.schema, [
    { name: 'id', type: int64, from: ['uid', 'userid'] },
    { name: 'seen', type: seen, from: [] },
    { name: 'name', type: undefined, from: ['nick'] },
  ]);
});

test('nothing said is the default: loopback, port 8080, half of the memory', () => {
  const config = parse('');
  assert.deepEqual(config, defaultConfig());
  assert.deepEqual(config.server, { host: '127.0.0.1', port: 8080, workers: 1 });
  assert.ok(config.cacheMemoryBytes > 2 ** 26);
});

test('a mistake names its line and what would be right', () => {
  const cases: readonly [string, RegExp][] = [
    ['server: { prot: 80 }', /:1: server\.prot: unknown key; expected one of host, port, workers/],
    ['server: { workers: 0 }', /:1: server\.workers: .*1/],
    ['server: { workers: 65 }', /:1: server\.workers: .*64/],
    ['server:\n  port: eighty', /:2: server\.port: .*number/],
    ['tables:\n  t:\n    source: a\n    key: id\n    quota: {}', /:5: tables\.t\.quota\.memory: /],
    [
      'tables:\n  t:\n    source: a\n    key: id\n    quota: { memory: 1KiB }',
      /:5: tables\.t\.quota\.memory: expected at least 1MiB/,
    ],
    [
      'tables:\n  t:\n    source: a\n    key: id\n    quota: { memory: 1GiB, disk: 1GiB }',
      /:5: tables\.t\.quota\.disk: unknown key; expected one of memory/,
    ],
    ['tables:\n  t:\n    source: a\n    key: id\n    preload: []', /:5: tables\.t\.preload: .*no columns and no keys/],
    [
      'tables:\n  t:\n    source: a\n    key: id\n    preload: { rates: 1 }',
      /:5: tables\.t\.preload: .*no "rates"; it has keys, columns/,
    ],
    ['limits: { valueInRow: 64MiB }', /:1: limits\.valueInRow: expected from 1 byte to 32MiB/],
    ['server:\n  auth: { apiKeys: [] }', /:2: server\.auth: not in this version/],
    ['cluster: {}', /:1: cluster: not in this version/],
    ['cache: { disk: { size: 1GiB } }', /:1: cache\.disk.*string/],
    ['cache: { disk: { path: a, size: 1MiB } }', /:1: cache\.disk\.size: expected at least 64MiB/],
    ['cache:\n  disk: { path: a, sise: 1GiB }', /:2: cache\.disk\.sise: unknown key; expected one of path, size/],
    ['limits:\n  keys: 10\n  gets: 0', /:3: limits\.gets: /],
    ['tables:\n  t: { source: a, key: id, duplicates: latest }', /:2: tables\.t\.duplicates: expected `latest_by`/],
    ['tables:\n  t: { source: a, key: id, latest_by: ts }', /:2: tables\.t\.latest_by: expected `duplicates: latest`/],
    ['tables:\n  t: { source: a, key: id, keys: { k: [id] } }', /:2: tables\.t\.keys\.k: .*columns of `key` already/],
    ['tables:\n  t: { source: a, key: id, keys: { a/b: [x] } }', /:2: tables\.t\.keys\.a\/b: .*/],
    ['tables:\n  t: { source: a, key: id, projections: { p: [] } }', /:2: tables\.t\.projections\.p: /],
    ['tables:\n  t: { key: id }', /:2: tables\.t/],
    ['tables:\n  t: { source: a, key: [] }', /:2: tables\.t\.key/],
    [
      'tables:\n  t:\n    source: a\n    key: id\n    schema:\n      id: { type: bigint }',
      /:6: tables\.t\.schema\.id\.type: "bigint" is no type; expected boolean, int8, .*timestamp\(us,utc\)/,
    ],
    [
      'tables:\n  t:\n    source: a\n    key: id\n    schema:\n      id: { as: int64 }',
      /:6: tables\.t\.schema\.id\.as: unknown key; expected one of type, from/,
    ],
    [
      'tables:\n  t: { source: a, key: id, schema: { id: { from: [x] }, v: { from: [x] } } }',
      /:2: tables\.t\.schema\.v\.from: "x" already stands for column id/,
    ],
    [
      'tables:\n  t: { source: a, key: id, schema: { id: { from: [v] }, v: { type: int8 } } }',
      /:2: tables\.t\.schema\.id\.from: "v" already stands for column v/,
    ],
    ['cache: { memory: 1GiB, rows: 513MiB }', /:1: cache\.rows: expected at most 536870912 bytes/],
    ['cache: { memory: 1TiB, rows: 5GiB }', /:1: cache\.rows: expected at most 4294967296 bytes/],
    ['cache: { memory: lots }', /:1: cache\.memory: .*64MiB/],
    ['storage: { s3: { endpoint: minio } }', /:1: storage\.s3\.endpoint/],
    [
      'storage:\n  s3:\n    secret: x',
      /:3: storage\.s3\.secret: unknown key; expected one of endpoint, region, forcePathStyle, anonymous/,
    ],
    ['server: { host: "$' + '{NOT_SET}" }', /:1: the environment variable NOT_SET is not set/],
    ['a: [', /:\d+: /],
    ['tables: { "a/b": { source: a, key: id } }', /a\/b/],
    ['tables:\n  t: { source: a, key: id }\n  t: { source: b, key: id }', /:3: .*unique/],
    ['- a\n- b', /:1: /],
  ];
  for (const [text, expected] of cases) {
    assert.throws(
      () => parse(text),
      (error: Error) => {
        assert.match(error.message, /^\/etc\/pointlake\.yaml:\d+: /, text);
        assert.match(error.message, expected, text);
        return true;
      },
    );
  }
});
