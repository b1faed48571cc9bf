/**
 * Which files may hold a key, by intervals and by folders: against a walk over every file by its own bounds, for random
 * bounds of each type, few files and many.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { canContain, compareKeys, type KeyValue, type LeafColumn } from '../../src/parquet/index.ts';
import { type ColumnType, parseColumnType } from '../../src/table/column-type.ts';
import { IntervalTree } from '../../src/table/interval-tree.ts';
import { KeyFiles } from '../../src/table/key-files.ts';
import { PartitionValue } from '../../src/table/partition.ts';
import type { TableColumn } from '../../src/table/schema.ts';
import type { SnapshotFile } from '../../src/table/snapshot-file.ts';
import { FUZZ_SEED, property, randomFrom } from '../parquet/support/property.ts';

const TYPES = ['int32', 'int64', 'uint64', 'double', 'string', 'boolean', 'decimal(38,2)', 'uuid'] as const;

interface FakeBounds {
  readonly min: KeyValue | undefined;
  readonly max: KeyValue | undefined;
  readonly allNull: boolean;
  readonly noNaN: boolean;
}

interface FakeFile {
  readonly kind: 'readable' | 'broken' | 'lacking' | 'cast';
  readonly rowGroups: readonly (FakeBounds | undefined)[];
  /** Undefined for null. */
  readonly folder: KeyValue | undefined;
}

function columnOf(text: string, partition: number | undefined): TableColumn & { readonly leaf: LeafColumn } {
  const type = parseColumnType(text) as ColumnType;
  const ordinal = partition === undefined ? 0 : 1;
  const name = `c${ordinal}`;
  const leaf = { ...type, ordinal, path: [name], name, maxDefinitionLevel: 1, maxRepetitionLevel: 0 };
  return { ordinal, name, leaf, nested: undefined, unsupported: undefined, isNullable: true, partition };
}

/** Values that lie close together, far apart, and at the ends of the type, with long common beginnings. */
function randomValue(text: string, random: () => number): KeyValue {
  const small = Math.floor(random() * 40);
  const kind = Math.floor(random() * 6);
  if (text === 'int32') return kind === 0 ? -(2 ** 31) : kind === 1 ? 2 ** 31 - 1 : small - 20;
  if (text === 'int64')
    return kind === 0 ? 2n ** 63n - 1n - BigInt(small) : kind === 1 ? -(2n ** 63n) : BigInt(small) - 20n;
  if (text === 'uint64') return kind === 0 ? 2n ** 64n - 1n - BigInt(small) : 2n ** 53n + BigInt(small);
  if (text === 'double')
    return [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, -0, 0, Number.NaN][kind] ?? small / 4 - 5;
  if (text === 'boolean') return small % 2 === 0;
  if (text === 'decimal(38,2)') return (kind === 0 ? 10n ** 37n : 0n) + BigInt(small) - 20n;
  if (text === 'uuid') return Buffer.from(`${kind < 3 ? 'same-start-' : ''}${small}`.padEnd(16, '\0').slice(0, 16));
  return Buffer.from(
    ['', 'user', 'user\0', `user-0000000${small}`, `user-${small}-000000`, `\u00ff${small}`][kind] ?? '',
  );
}

function fileOf(text: string, folderText: string, random: () => number): FakeFile {
  const kind = (['broken', 'lacking', 'cast'] as const)[Math.floor(random() * 25)] ?? 'readable';
  const rowGroups = Array.from({ length: Math.floor(random() * 4) }, (): FakeBounds | undefined => {
    if (random() < 0.03) return undefined;
    // A bound that is NaN was dropped when the file was read.
    const known = () => [randomValue(text, random)].find((value) => !Number.isNaN(value));
    const [a, b] = [known(), known()];
    const isSwapped = a !== undefined && b !== undefined && compareKeys(columnOf(text, undefined).leaf, a, b) > 0;
    const [min, max] = isSwapped ? [b, a] : [a, b];
    return {
      min: random() < 0.03 ? undefined : min,
      max: random() < 0.03 ? undefined : max,
      allNull: random() < 0.1,
      noNaN: random() < 0.5,
    };
  });
  return { kind, rowGroups, folder: random() < 0.1 ? undefined : randomValue(folderText, random) };
}

/** As much of a file of a snapshot as is looked at. */
function asSnapshotFile({ kind, rowGroups, folder }: FakeFile): SnapshotFile {
  const partition = [folder === undefined ? undefined : new PartitionValue(folder)];
  if (kind === 'broken') return { kind, partition } as unknown as SnapshotFile;
  const file = { index: { rowGroups: rowGroups.length, chunkBounds: (rowGroup: number) => rowGroups[rowGroup] } };
  const casts = kind === 'cast' ? [{}] : undefined;
  return {
    kind: 'readable',
    partition,
    file,
    leafPositions: [kind === 'lacking' ? -1 : 0],
    mapping: { casts },
  } as unknown as SnapshotFile;
}

/** The plain walk. */
function mayHold(
  { kind, rowGroups, folder }: FakeFile,
  leaves: readonly LeafColumn[],
  key: readonly KeyValue[],
): boolean {
  const [leaf, folderLeaf] = leaves as [LeafColumn, LeafColumn];
  const [value, folderKey] = key as [KeyValue, KeyValue];
  if (folder === undefined || compareKeys(folderLeaf, folder, folderKey) !== 0) return false;
  if (kind !== 'readable') return kind !== 'lacking';
  return rowGroups.some((bounds) => canContain(leaf, bounds && { ...bounds, minExact: true, maxExact: true }, value));
}

function walk(files: KeyFiles, key: readonly KeyValue[], end: number): readonly number[] {
  const candidates = files.candidates(key);
  const found: number[] = [];
  for (let file = candidates.next(0); file < end; file = candidates.next(file + 1)) found.push(file);
  return found;
}

const table = fc.record({
  type: fc.constantFrom(...TYPES),
  folder: fc.constantFrom('string', 'int32', 'boolean'),
  files: fc.oneof(fc.nat(40), fc.integer({ min: 513, max: 2000 })),
  seed: fc.nat(),
});

test('no file that may hold a key is passed over, and folders are told apart exactly', (context) => {
  context.diagnostic(`seed ${FUZZ_SEED}`);
  let [asked, passedOver, admitted] = [0, 0, 0];
  property(
    table,
    ({ type, folder, files: count, seed }) => {
      const random = randomFrom(seed);
      const fakes = Array.from({ length: count }, () => fileOf(type, folder, random));
      const columns = [columnOf(type, undefined), columnOf(folder, 0)];
      const files = new KeyFiles(fakes.map(asSnapshotFile), columns);
      for (let i = 0; i < 30; i++) {
        const key = [randomValue(type, random), randomValue(folder, random)];
        const found = walk(files, key, count);
        assert.deepEqual(
          found,
          [...found].sort((a, b) => a - b),
          'in the order of the files',
        );
        const leaves = columns.map(({ leaf }) => leaf);
        const wanted = fakes.flatMap((fake, file) => (mayHold(fake, leaves, key) ? [file] : []));
        assert.deepEqual(
          wanted.filter((file) => !found.includes(file)),
          [],
        );
        for (const file of found)
          assert.deepEqual(fakes[file]?.folder, key[1] === undefined ? undefined : sameAs(key[1]));
        asked += count;
        passedOver += count - found.length;
        admitted += wanted.length;
      }
    },
    60,
  );
  context.diagnostic(`${asked} files asked for, ${passedOver} passed over, ${admitted} may hold the key`);
  assert.ok(passedOver > asked / 2 && admitted > 500);
});

const sameAs = (value: KeyValue) => (value instanceof Uint8Array ? Buffer.from(value) : value);

test('a number is in the same intervals by the tree and by a look at each', () => {
  const end = fc.oneof(
    fc.integer({ min: -9, max: 9 }),
    fc.constantFrom(Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY),
  );
  const intervals = fc.array(fc.tuple(end, end), { maxLength: 40 });
  property(
    fc.tuple(intervals, end, fc.nat(12)),
    ([pairs, at, limit]) => {
      const tree = new IntervalTree(
        Float64Array.from(pairs, ([low]) => low),
        Float64Array.from(pairs, ([, high]) => high),
      );
      const wanted = pairs.flatMap(([low, high], i) => (low <= at && at <= high ? [i] : []));
      const found = tree.stab(at, limit);
      if (wanted.length > limit) assert.equal(found, undefined);
      else
        assert.deepEqual(
          found?.sort((a, b) => a - b),
          wanted,
        );
    },
    1000,
  );
});
