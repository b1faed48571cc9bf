/**
 * Mutations of real metadata. Whatever the bytes, the answer is a value or a typed error, soon, and without more memory
 * than a fixed multiple of the bytes. Every case is made of one seed: FUZZ_SEED replays a run, and the seed of a failing
 * case is in its message. FUZZ_RUNS is the number of cases of each kind.
 */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { ServiceError } from '../../src/core/index.ts';
import { decodeBloomFilter } from '../../src/parquet/bloom-filter.ts';
import { type ColumnChunk, FileIndex } from '../../src/parquet/file-index.ts';
import { decodeFooter } from '../../src/parquet/footer.ts';
import { decodePageHeader } from '../../src/parquet/page-header.ts';
import { decodeColumnIndex } from '../../src/parquet/page-index.ts';
import { decodeOffsetIndex } from '../../src/parquet/page-locations.ts';
import { PageWalker } from '../../src/parquet/page-walker.ts';
import { corpusFiles, openIndex, readCorpus } from './support/metadata-files.ts';
import { FUZZ_SEED, randomFrom } from './support/property.ts';
import { ThriftWriter } from './support/thrift-writer.ts';

const RUNS = Number(process.env.FUZZ_RUNS ?? 1500);
const MAX_CASE_MS = 2000;
/** A schema element of some bytes becomes objects and strings; a chunk of 16 bytes some 150 of staging arrays. */
const MAX_BYTES_PER_BYTE = 200;
const FREE_BYTES = 4 * 2 ** 20;

type Random = () => number;
type Mutation = (bytes: Uint8Array, random: Random) => Uint8Array;

const nat = (random: Random, below: number) => Math.floor(random() * below);

/** Varints that lie: 2^31 - 1, 2^32 - 1, 2^63 and one of endless bytes. */
const LIES: readonly (readonly number[])[] = [
  [0xff, 0xff, 0xff, 0xff, 0x07],
  [0xff, 0xff, 0xff, 0xff, 0x0f],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
  Array.from({ length: 200 }, () => 0x80),
];

function splice(bytes: Uint8Array, at: number, removed: number, added: ArrayLike<number>): Uint8Array {
  const after = bytes.subarray(Math.min(bytes.length, at + removed));
  const spliced = new Uint8Array(at + added.length + after.length);
  spliced.set(bytes.subarray(0, at));
  spliced.set(added, at);
  spliced.set(after, at + added.length);
  return spliced;
}

const MUTATIONS: readonly Mutation[] = [
  (bytes, random) => {
    const flipped = Uint8Array.from(bytes);
    for (let flips = 1 + nat(random, 6); flips > 0; flips -= 1) {
      const at = nat(random, flipped.length);
      flipped[at] = flipped[at]! ^ (1 << nat(random, 8));
    }
    return flipped;
  },
  (bytes, random) => bytes.slice(0, nat(random, bytes.length)),
  (bytes, random) => splice(bytes, nat(random, bytes.length), nat(random, 12), []),
  (bytes, random) => splice(bytes, nat(random, bytes.length), nat(random, 3), LIES[nat(random, LIES.length)]!),
  (bytes, random) => {
    const from = nat(random, bytes.length);
    return splice(bytes, nat(random, bytes.length), 0, bytes.slice(from, from + nat(random, 200)));
  },
  (bytes, random) => {
    const added = Uint8Array.from({ length: 1 + nat(random, 16) }, () => nat(random, 256));
    return splice(bytes, nat(random, bytes.length), added.length, added);
  },
];

function mutate(bytes: Uint8Array, random: Random): Uint8Array {
  let mutated = bytes;
  for (let round = 1 + nat(random, 2); round > 0 && mutated.length > 0; round -= 1) {
    mutated = MUTATIONS[nat(random, MUTATIONS.length)]!(mutated, random);
  }
  return mutated;
}

interface Tally {
  answered: number;
  refused: number;
}

/** Runs one case: true for an answer, false for a typed error; anything else fails the test. */
function runCase(label: string, length: number, run: () => void, tally: Tally): void {
  const bytesBefore = process.memoryUsage().arrayBuffers;
  const from = performance.now();
  try {
    run();
    tally.answered += 1;
  } catch (error) {
    const isTyped = error instanceof ServiceError && (error.kind === 'corrupt' || error.kind === 'unsupported');
    assert.ok(isTyped, `${label}: ${error instanceof Error ? error.stack : error}`);
    tally.refused += 1;
  }
  const elapsed = performance.now() - from;
  assert.ok(elapsed < MAX_CASE_MS, `${label}: took ${elapsed} ms`);
  const allocated = process.memoryUsage().arrayBuffers - bytesBefore;
  assert.ok(allocated <= FREE_BYTES + length * MAX_BYTES_PER_BYTE, `${label}: ${allocated} bytes for ${length}`);
}

/** Calls `check` with mutations of the samples, each of a seed of its own. */
function fuzz(name: string, samples: readonly Uint8Array[], check: (bytes: Uint8Array) => void): void {
  test(name, (context) => {
    const tally: Tally = { answered: 0, refused: 0 };
    for (let run = 0; run < RUNS; run += 1) {
      const seed = FUZZ_SEED + run;
      const random = randomFrom(seed);
      const bytes = mutate(samples[nat(random, samples.length)]!, random);
      runCase(`FUZZ_SEED=${seed} FUZZ_RUNS=1 (${name})`, bytes.length, () => check(bytes), tally);
    }
    context.diagnostic(`seed ${FUZZ_SEED}: ${tally.answered} answered, ${tally.refused} refused`);
    assert.equal(tally.answered + tally.refused, RUNS);
    assert.ok(RUNS < 100 || tally.refused > 0);
  });
}

/** Asks everything of an index; a refused chunk does not end the questions. */
function interrogate(index: FileIndex): void {
  let fault: unknown;
  for (let rowGroup = 0; rowGroup < Math.min(20, index.rowGroups); rowGroup += 1) {
    for (const leaf of index.schema.leaves.slice(0, 50)) {
      index.chunkBounds(rowGroup, leaf.ordinal);
      index.sortingColumns(rowGroup);
      try {
        index.chunk(rowGroup, leaf.ordinal);
      } catch (error) {
        if (!(error instanceof ServiceError)) throw error;
        fault = error;
      }
    }
  }
  index.keyValueMetadata('iceberg.schema');
  if (fault !== undefined) throw fault;
}

const files = corpusFiles('data')
  .filter((name) => name.endsWith('.parquet'))
  .map((name) => readCorpus(name))
  .filter((file) => file.length < 500_000);

interface Sample {
  readonly chunk: ColumnChunk;
  readonly rows: number;
  readonly file: Uint8Array;
}

const samples: readonly Sample[] = files.flatMap((file) => {
  const index = openIndex(file);
  return index.schema.leaves
    .slice(0, 4)
    .filter(() => index.rowGroups > 0 && index.rowGroupRows(0) > 0)
    .map((leaf) => ({ chunk: index.chunk(0, leaf.ordinal), rows: index.rowGroupRows(0), file }));
});

/** The chunk's range moved so that it can hold a mutated piece wherever that points. */
const anywhere = (chunk: ColumnChunk): ColumnChunk => ({ ...chunk, range: { start: 4, end: 2 ** 40 } });

describe('fuzz', () => {
  const footers = files.map((file) => {
    const length = new DataView(file.buffer, file.byteOffset).getUint32(file.length - 8, true);
    return file.slice(file.length - 8 - length, file.length - 8);
  });
  fuzz('footers', footers, (bytes) => interrogate(FileIndex.parse(bytes, 1_000_000)));

  const tails = files.map((file) => file.slice(-2000));
  fuzz('the ends of files', tails, (bytes) => {
    const decoded = decodeFooter(bytes, 1_000_000);
    if (decoded.kind === 'needs') {
      const [range] = decoded.ranges;
      assert.ok(range !== undefined && range.start >= 0 && range.end === 1_000_000 - bytes.length);
    } else interrogate(decoded.index);
  });

  const offsetIndexes = samples.flatMap(({ chunk, file }) => {
    const range = chunk.offsetIndexRange;
    return range === undefined ? [] : [file.slice(range.start, range.end)];
  });
  fuzz('offset indexes', offsetIndexes, (bytes) => {
    const locations = decodeOffsetIndex(bytes, anywhere(samples[0]!.chunk), 1 << 20);
    for (let page = 0; page < locations.pages; page += 1) assert.equal(locations.range(page).start >= 4, true);
    assert.ok(locations.pageOf(5) < locations.pages);
  });

  const indexed = samples.filter(({ chunk }) => chunk.columnIndexRange !== undefined && chunk.offsetIndexRange);
  for (const physicalType of new Set(indexed.map(({ chunk }) => chunk.leaf.physicalType))) {
    const { chunk, file, rows } = indexed.find((sample) => sample.chunk.leaf.physicalType === physicalType)!;
    const { start, end } = chunk.columnIndexRange!;
    const offsets = chunk.offsetIndexRange!;
    const { pages } = decodeOffsetIndex(file.subarray(offsets.start, offsets.end), chunk, rows);
    fuzz(`column indexes of ${physicalType}`, [file.slice(start, end)], (bytes) => {
      const bounds = decodeColumnIndex(bytes, chunk, pages);
      for (let page = 0; page < pages; page += 1) bounds.at(page);
    });
  }

  const chunks = samples.map(({ chunk, file }) => file.slice(chunk.range.start, chunk.range.end));
  const rows = 7300;
  const manyPages = samples
    .filter((sample) => sample.rows === rows)
    .map(({ chunk, file }) => {
      return file.slice(chunk.range.start, chunk.range.end);
    });
  fuzz('chunks that are walked', [...manyPages, ...chunks], (bytes) => {
    const chunk = { ...samples[0]!.chunk, range: { start: 4, end: 4 + bytes.length } };
    const step = new PageWalker(chunk, rows).next(bytes, 4);
    assert.ok(step.kind === 'data' && step.locations.rowEnd(step.locations.pages - 1) === rows);
  });

  const headers = chunks.map((bytes) => bytes.slice(0, 64));
  fuzz('page headers', headers, (bytes) => {
    const header = decodePageHeader(bytes, 0);
    if (header !== 'needs_more') assert.ok(header.headerLength <= bytes.length && header.compressedPageSize >= 0);
  });

  const blooms = samples.flatMap(({ chunk, file }) => {
    const range = chunk.bloomFilterRange;
    return range === undefined ? [] : [file.slice(range.start, range.end)];
  });
  fuzz('bloom filters', blooms, (bytes) => {
    const chunk = { ...samples[0]!.chunk, bloomFilterRange: { start: 0, end: bytes.length } };
    const decoded = decodeBloomFilter(bytes, chunk, bytes.length);
    if (decoded.kind === 'data') decoded.filter.mightContainBytes(bytes.subarray(0, 8));
  });
});

describe('counts that lie', () => {
  const cases: readonly (readonly [string, (writer: ThriftWriter) => void])[] = [
    ['elements of a schema', (writer) => writer.listHeader(2, 12, 2 ** 31 - 1)],
    ['row groups', (writer) => writer.raw(tinySchema()).listHeader(2, 12, 2 ** 31 - 1)],
    ['key-value pairs', (writer) => writer.listHeader(5, 12, 2 ** 31 - 1)],
    ['column orders', (writer) => writer.listHeader(7, 12, 2 ** 31 - 1)],
    ['bytes of a name', (writer) => writer.raw([0x68, 0xff, 0xff, 0xff, 0xff, 0x0f])],
    ['elements of an unknown list', (writer) => writer.listHeader(50, 12, 2 ** 31 - 1)],
  ];
  for (const [name, write] of cases) {
    test(`${name}: refused at once, with nothing allocated for them`, () => {
      const writer = new ThriftWriter();
      writer.structElement(() => write(writer));
      const bytes = Uint8Array.from([...writer.take(), ...new Uint8Array(100_000)]);
      const tally = { answered: 0, refused: 0 };
      runCase(name, 0, () => FileIndex.parse(bytes, 1e6), tally);
      assert.equal(tally.refused, 1);
    });
  }

  /** Field 2, a root and one INT32 column. What the writer writes next as 2 is read as 4, two further on. */
  function tinySchema(): Uint8Array {
    const writer = new ThriftWriter();
    writer.listHeader(2, 12, 2);
    writer.structElement(() => writer.binary(4, 'r').int32(5, 1));
    writer.structElement(() => writer.int32(1, 1).int32(3, 0).binary(4, 'c'));
    return writer.take();
  }
});
