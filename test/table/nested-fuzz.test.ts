/**
 * Hostile nested files: mutants of good ones, in every form of list and map, page version and codec. Each must read to
 * its end as JSON or fail with a typed error, quickly and within a bound of memory.
 *
 * FUZZ_CASES sets how many (4,000 unless told), FUZZ_SEED replays a run: case n depends on the seed and n alone.
 */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { asServiceError } from '../../src/core/index.ts';
import { decodeFooter, type FileIndex, shapeOf } from '../../src/parquet/index.ts';
import { NestedAssembly } from '../../src/table/nested-json.ts';
import { nestedTypeOf } from '../../src/table/nested-type.ts';
import { FUZZ_SEED, randomFrom } from '../parquet/support/property.ts';
import { blockAt, blocksOf } from '../support/nested-blocks.ts';
import { nestedFile } from '../support/nested-files.ts';
import { nestedSample } from '../support/nested-samples.ts';

const CASES = Number(process.env.FUZZ_CASES ?? 4000);
const CORPUS = new URL('../../../shared/corpus/parquet-testing/data/', import.meta.url);
const CORPUS_FILES = /^(nested|null|nonnull|repeated|list_c|old_list|map_no|incorrect_map).*\.parquet$/;

/** No mutant may make more of itself than this, whatever it claims. */
const MAX_PAGE_BYTES = 2 ** 20;
const MAX_SECONDS = 2;
const MAX_FILE_BYTES = 50_000;
const MAX_ROWS = 10_000;

type Random = () => number;

function below(random: Random, n: number): number {
  return Math.floor(random() * n);
}

function seedFiles(): Buffer[] {
  const files: Buffer[] = readdirSync(CORPUS)
    .filter((name) => CORPUS_FILES.test(name))
    .map((name) => readFileSync(new URL(name, CORPUS)))
    .filter((file) => file.length <= MAX_FILE_BYTES);
  for (let n = 0; n < 120; n += 1) files.push(madeFile(randomFrom(n)));
  return files;
}

function madeFile(random: Random): Buffer {
  const samples = Array.from({ length: 2 }, (_, i) => nestedSample(random, `c${i}`, below(random, 4)));
  const records = Array.from({ length: 20 }, () => samples.map((sample) => sample.make().raw));
  return nestedFile(
    samples.map((sample) => sample.field),
    records,
    {
      version: random() < 0.6 ? 1 : 2,
      entriesPerPage: [5, 30, 1000][below(random, 3)]!,
      wholeRows: random() < 0.3,
      dictionaryPages: [0, 2, 1000][below(random, 3)]!,
      bitPackedLevels: random() < 0.3,
      snappy: random() < 0.2,
      offsetIndex: random() < 0.3,
      rowsPerRowGroup: 1000,
      random,
    },
  );
}

function mutate(file: Buffer, random: Random): Buffer {
  const mutant = Buffer.from(file);
  const footer = mutant.length - 8 - mutant.readUInt32LE(mutant.length - 8);
  // Mostly the pages; the footer now and then, which has tests of its own.
  const end = random() < 0.9 ? footer : mutant.length - 8;
  const start = end === footer ? 4 : footer;
  const place = () => start + below(random, Math.max(1, end - start));
  switch (below(random, 4)) {
    case 0: {
      const lies = [0, 0xff, 0x7f, 0x80];
      const at = place();
      for (let i = at; i < Math.min(end, at + 4); i += 1) mutant[i] = lies[below(random, lies.length)]!;
      break;
    }
    case 1: {
      const from = place();
      mutant.copyWithin(place(), from, Math.min(end, from + below(random, 32)));
      break;
    }
    case 2:
      mutant[place()] = below(random, 256);
      break;
    default:
      for (let i = 0; i <= below(random, 4); i += 1) mutant[place()]! ^= 1 << below(random, 8);
  }
  return mutant;
}

/** Reads every nested column from end to end, straight from the bytes; returns how many values it wrote. */
function readAll(file: Buffer): number {
  const footer = decodeFooter(file, file.length);
  assert.equal(footer.kind, 'data');
  const { index } = footer as { readonly index: FileIndex };
  let written = 0;
  for (const node of index.schema.root.children) {
    const shape = shapeOf(node);
    const assembly = new NestedAssembly(shape, nestedTypeOf(shape), { int64: 'string', nonfinite: 'string' });
    for (let rowGroup = 0; rowGroup < index.rowGroups; rowGroup += 1) {
      const rows = index.rowGroupRows(rowGroup);
      if (rows > MAX_ROWS) continue;
      const columns = assembly.leaves.map((leaf) => blocksOf(file, index, rowGroup, leaf, MAX_PAGE_BYTES));
      for (let row = 0; row < rows; row += 1) {
        const text = assembly.json(
          columns.map((blocks) => blockAt(blocks, row)),
          row,
        );
        JSON.parse(text);
        written += 1;
      }
    }
  }
  return written;
}

function runCase(file: Buffer): 'read' | 'refused' {
  try {
    readAll(file);
    return 'read';
  } catch (thrown) {
    if (thrown instanceof assert.AssertionError) throw thrown;
    const { kind } = asServiceError(thrown);
    assert.ok(kind === 'corrupt' || kind === 'unsupported', `${kind}: ${(thrown as Error).stack}`);
    return 'refused';
  }
}

test('the seeds of the fuzz read to their end', () => {
  const written = seedFiles().map(readAll);
  assert.ok(written.length > 125, `${written.length} files`);
  assert.ok(written.every((values) => values > 0));
});

test('mutants of nested files are read or refused, quickly and within bounds', (t) => {
  const seeds = seedFiles();
  const counts = { read: 0, refused: 0 };
  let slowest = 0;
  for (let n = 0; n < CASES; n += 1) {
    const random = randomFrom(FUZZ_SEED * 31 + n);
    const mutant = mutate(seeds[below(random, seeds.length)]!, random);
    const start = performance.now();
    try {
      counts[runCase(mutant)] += 1;
    } catch (thrown) {
      throw new Error(`FUZZ_SEED=${FUZZ_SEED} case ${n}`, { cause: thrown });
    }
    slowest = Math.max(slowest, performance.now() - start);
  }
  assert.ok(slowest < MAX_SECONDS * 1000, `the slowest case took ${slowest} ms`);
  t.diagnostic(
    `seed ${FUZZ_SEED}: ${CASES} cases of ${seeds.length} files, ${counts.read} read, ${counts.refused} refused, slowest ${slowest.toFixed(0)} ms`,
  );
  assert.ok(counts.read > CASES / 20 && counts.refused > CASES / 5, JSON.stringify(counts));
});
