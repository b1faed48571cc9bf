/** Sources as users write them, and the names of tables that follow from them. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ServiceError } from '../../src/core/index.ts';
import { parseSourceUri, type Source, tableNameOf } from '../../src/storage/index.ts';

const parse = (uri: string) => parseSourceUri(uri, '/work/dir');

/** What a source says, short enough for a table. */
function summary(source: Source): string {
  const where = source.kind === 'object' ? source.key : source.prefix;
  return `${source.scheme} ${source.bucket ?? '-'} ${source.kind} ${where}`;
}

describe('a source URI', () => {
  const understood: Readonly<Record<string, string>> = {
    'a.parquet': 'file - object /work/dir/a.parquet',
    './a b.parquet': 'file - object /work/dir/a b.parquet',
    '../a.parquet': 'file - object /work/a.parquet',
    '/data/a.parquet': 'file - object /data/a.parquet',
    '/data/100%.parquet': 'file - object /data/100%.parquet',
    '/data/a#1.parquet': 'file - object /data/a#1.parquet',
    '/data/': 'file - prefix /data/',
    '/data/.': 'file - prefix /data/',
    '/data/x/..': 'file - prefix /data/',
    'x..': 'file - object /work/dir/x..',
    '.': 'file - prefix /work/dir/',
    '..': 'file - prefix /work/',
    '/': 'file - prefix /',
    '/data/*.parquet': 'file - glob /data/',
    'd*/x?.parquet': 'file - glob /work/dir/',
    '/data/**/part-?.parquet': 'file - glob /data/',
    'file:///data/a%20b.parquet': 'file - object /data/a b.parquet',
    'file://localhost/data/': 'file - prefix /data/',
    'FILE:///data/%2A.parquet': 'file - object /data/*.parquet',
    'file:///data/%25/*.parquet': 'file - glob /data/%/',
    's3://lake': 's3 lake prefix ',
    's3://lake/': 's3 lake prefix ',
    's3://lake/users/': 's3 lake prefix users/',
    's3://lake/users': 's3 lake object users',
    's3://lake/a/b c%20+#.parquet': 's3 lake object a/b c%20+#.parquet',
    's3://lake/a/*.parquet': 's3 lake glob a/',
    's3://lake/*': 's3 lake glob ',
    's3://lake/dt=2026-*/part-?': 's3 lake glob ',
    's3://lake//odd': 's3 lake object /odd',
    's3://my.bucket-1_x/k': 's3 my.bucket-1_x object k',
    'S3://lake/K': 's3 lake object K',
    'https://example.com/a%20b.parquet?X=1&y=*#part': 'http - object https://example.com/a%20b.parquet?X=1&y=*',
    'http://127.0.0.1:8000/x/%2A.parquet': 'http - object http://127.0.0.1:8000/x/%2A.parquet',
  };
  for (const [uri, expected] of Object.entries(understood)) {
    it(`${uri} is ${expected}`, () => {
      const source = parse(uri);
      assert.equal(summary(source), expected);
      assert.equal(source.uri, uri);
    });
  }

  const refused: readonly (readonly [string, string, string])[] = [
    ['', 'invalid_source', 'empty'],
    ['   ', 'invalid_source', 'empty'],
    ['/a\0b', 'invalid_source', 'NUL'],
    ['s3://', 'invalid_source', 'bucket'],
    ['s3:///key', 'invalid_source', 'bucket'],
    ['s3://bad bucket/x', 'invalid_source', 's3://bucket/'],
    ['s3://*/x', 'invalid_source', 's3://bucket/'],
    ['file://host/x', 'invalid_source', 'file:///'],
    ['file://', 'invalid_source', 'file:///'],
    ['file:///a%zz', 'invalid_source', '%25'],
    ['file:///a%00', 'invalid_source', '%25'],
    ['https://example.com/data/', 'invalid_source', 'one file'],
    ['https://example.com/*.parquet', 'invalid_source', '%2A'],
    ['https://', 'invalid_source', 'https://host/'],
    ['https://me:secret@example.com/a', 'invalid_source', 'sign'],
    ['s3a://lake/x', 'unsupported_scheme', 'write s3://'],
    ['gs://lake/x', 'unsupported_scheme', 'gs://'],
  ];
  for (const [uri, code, says] of refused) {
    it(`${JSON.stringify(uri)} is refused: ${code}`, () => {
      assert.throws(
        () => parse(uri),
        (error) => {
          assert.ok(error instanceof ServiceError);
          assert.equal(error.code, code);
          assert.equal(error.kind, code === 'unsupported_scheme' ? 'unsupported' : 'invalid');
          assert.ok(error.message.includes(says), error.message);
          return true;
        },
      );
    });
  }

  it('never throws anything but a ServiceError', () => {
    const pieces = fc.constantFrom(
      's3://',
      'file:///',
      '/',
      '%',
      '*',
      '**',
      '?',
      '..',
      'a',
      '=',
      '_',
      '\0',
      'é',
      '😀',
      ':',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(pieces, { maxLength: 12 }).map((all) => all.join('')),
        ),
        (uri) => {
          try {
            assert.match(tableNameOf(parse(uri)), /^[A-Za-z0-9_.-]+$/);
          } catch (error) {
            assert.ok(error instanceof ServiceError, String(error));
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('the name of a table', () => {
  const names: Readonly<Record<string, string>> = {
    '/data/flights-3m.parquet': 'flights-3m',
    '/data/flights': 'flights',
    '/data/flights/': 'flights',
    's3://lake/users/': 'users',
    's3://lake/users/*.parquet': 'users',
    's3://lake/users/dt=*/x': 'users',
    's3://lake/*.parquet': 'lake',
    's3://lake/': 'lake',
    's3://lake/a.PARQUET': 'a',
    's3://lake/out.parquet/': 'out',
    's3://lake/v1.2_final-x': 'v1.2_final-x',
    's3://lake/my table (1).parquet': 'my-table-1',
    's3://lake/données.parquet': 'donnees',
    's3://lake/表.parquet': 'lake',
    's3://lake/.hidden': 'hidden',
    '/': 'table',
    '/*': 'table',
  };
  for (const [uri, name] of Object.entries(names)) {
    it(`${uri} gives ${name}`, () => assert.equal(tableNameOf(parse(uri)), name));
  }
});
