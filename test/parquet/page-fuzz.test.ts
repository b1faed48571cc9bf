/**
 * Hostile pages: mutants of good ones, in every encoding and codec at hand. Each must decode to blocks that can be
 * read from end to end, or fail with a typed error; quickly, and within a bound of memory.
 *
 * FUZZ_CASES sets how many (10,000 unless told), FUZZ_SEED replays a run: case n depends on the seed and n alone.
 */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { asServiceError } from '../../src/core/index.ts';
import { Block } from '../../src/parquet/block.ts';
import { decompress } from '../../src/parquet/codecs.ts';
import { decodeCost, decodeDataPage, decodeDictionaryPage, type PageContext } from '../../src/parquet/page-decode.ts';
import { decodePageHeader } from '../../src/parquet/page-header.ts';
import { type ChunkPages, CONTEXT_DEFAULTS, chunksOf, valueAt } from './support/chunk-pages.ts';
import { v1Header } from './support/pages.ts';
import { FUZZ_SEED, randomFrom } from './support/property.ts';

const CASES = Number(process.env.FUZZ_CASES ?? 10_000);
const CORPUS = new URL('../../../shared/corpus/parquet-testing/data/', import.meta.url);

/** No mutant may make more of itself than this, whatever it claims. */
const MAX_PAGE_BYTES = 4 * 2 ** 20;
const MAX_SECONDS = 2;
/** Larger pages only make the run slower. */
const MAX_SEED_BYTES = 20_000;

interface SeedPage {
  readonly name: string;
  readonly kind: 'data' | 'dictionary';
  readonly page: Uint8Array;
  readonly chunk: ChunkPages;
  readonly dictionary: Block | undefined;
}

/** A few pages for each file, encoding, type and codec. */
function seedPages(): SeedPage[] {
  const seeds: SeedPage[] = [];
  const taken = new Map<string, number>();
  for (const file of readdirSync(CORPUS)
    .filter((name) => name.endsWith('.parquet'))
    .sort()) {
    for (const chunk of chunksOf(readFileSync(new URL(file, CORPUS))).chunks) {
      const { leaf, codec } = chunk;
      const name = `${file} ${leaf.name}`;
      const context = { ...CONTEXT_DEFAULTS, leaf, codec, verifyCrc: false };
      const dictionary = chunk.dictionary && Block.open(decodeDictionaryPage(chunk.dictionary, context));
      const candidates: SeedPage[] = chunk.pages
        .slice(0, 2)
        .map((page) => ({ name, kind: 'data', page, chunk, dictionary }));
      if (chunk.dictionary) candidates.push({ name, kind: 'dictionary', page: chunk.dictionary, chunk, dictionary });
      for (const seed of candidates) {
        const { encoding, type } = headerOf(seed.page);
        const key = [file, type, encoding, leaf.physicalType, codec].join();
        if (seed.page.length > MAX_SEED_BYTES || (taken.get(key) ?? 0) >= 2) continue;
        taken.set(key, (taken.get(key) ?? 0) + 1);
        seeds.push(seed, ...unpackedTwin(seed));
      }
    }
  }
  return seeds;
}

function headerOf(page: Uint8Array) {
  const header = decodePageHeader(page, 0);
  assert.ok(header !== 'needs_more');
  return header;
}

/**
 * The same body without its compression, under a header of its own: mutants of it reach the decoders, where mutants of
 * a compressed page mostly end in the codec.
 */
function unpackedTwin(seed: SeedPage): SeedPage[] {
  const { page, kind, chunk } = seed;
  const header = headerOf(page);
  if (chunk.codec === 'UNCOMPRESSED' || header.type === 'DATA_PAGE_V2') return [];
  if (header.uncompressedPageSize > MAX_SEED_BYTES) return [];
  const body = decompress(chunk.codec, page.subarray(header.headerLength), header.uncompressedPageSize);
  const twin = Buffer.concat([v1Header(header.numValues, header.encoding, kind, body.length), body]);
  return [{ ...seed, name: `${seed.name} unpacked`, page: twin, chunk: { ...chunk, codec: 'UNCOMPRESSED' } }];
}

function mutate(page: Uint8Array, random: () => number): Uint8Array {
  const below = (n: number) => Math.floor(random() * n);
  const mutant = Uint8Array.from(page);
  switch (below(6)) {
    case 0:
      return mutant.subarray(0, below(mutant.length + 1));
    case 1: {
      // A lying length: four bytes of one of the numbers that overflow something.
      const lies = [0, 0xff, 0x7f, 0x80];
      const at = below(mutant.length);
      for (let i = at; i < Math.min(mutant.length, at + 4); i += 1) mutant[i] = lies[below(lies.length)]!;
      return mutant;
    }
    case 2: {
      const from = below(mutant.length);
      const to = below(mutant.length);
      mutant.copyWithin(to, from, Math.min(mutant.length, from + below(64)));
      return mutant;
    }
    case 3:
      // Near the front: headers, levels, widths.
      for (let i = 0; i <= below(4); i += 1) mutant[below(Math.min(40, mutant.length))] = below(256);
      return mutant;
    default:
      for (let i = 0; i <= below(6); i += 1) mutant[below(mutant.length)]! ^= 1 << below(8);
      return mutant;
  }
}

/** Reads every value of every block, so that nothing wrong is left for a reader to meet. */
function readAll(buffers: readonly ArrayBuffer[], chunk: ChunkPages, dictionary: Block | undefined): number {
  let rows = 0;
  let bytes = 0;
  for (const buffer of buffers) {
    const block = Block.open(buffer);
    if (block.kind === 'CODES') block.dictionary = dictionary;
    bytes += block.byteLength;
    for (let row = 0; row < block.rows; row += 1) {
      const value = valueAt(chunk.leaf, block, row);
      assert.ok(value !== undefined, `row ${row} has a value`);
    }
    rows += block.rows;
  }
  assert.ok(bytes <= 3 * MAX_PAGE_BYTES, `${bytes} bytes of blocks`);
  return rows;
}

function runCase({ kind, chunk, dictionary }: SeedPage, page: Uint8Array): 'decoded' | 'refused' {
  const { leaf, codec } = chunk;
  const context: PageContext = {
    ...CONTEXT_DEFAULTS,
    leaf,
    codec,
    dictionaryRows: dictionary?.rows,
    verifyCrc: false,
    maxPageBytes: MAX_PAGE_BYTES,
  };
  try {
    assert.ok(decodeCost(page, context) >= 0);
    if (kind === 'dictionary') readAll([decodeDictionaryPage(page, context)], chunk, undefined);
    else {
      const decoded = decodeDataPage(page, context);
      assert.equal(readAll(decoded.blocks, chunk, dictionary), decoded.rows);
    }
    return 'decoded';
  } catch (thrown) {
    if (thrown instanceof assert.AssertionError) throw thrown;
    const { kind: error } = asServiceError(thrown);
    assert.ok(error === 'corrupt' || error === 'unsupported', `${error}: ${(thrown as Error).stack}`);
    return 'refused';
  }
}

test('mutants of good pages decode or are refused, quickly and within bounds', (t) => {
  const seeds = seedPages();
  assert.ok(seeds.length > 300, `${seeds.length} seed pages`);
  const counts = { decoded: 0, refused: 0 };
  let slowest = 0;
  for (let n = 0; n < CASES; n += 1) {
    const random = randomFrom(FUZZ_SEED * 31 + n);
    const seed = seeds[Math.floor(random() * seeds.length)]!;
    const page = mutate(seed.page, random);
    const start = performance.now();
    try {
      counts[runCase(seed, page)] += 1;
    } catch (thrown) {
      throw new Error(`FUZZ_SEED=${FUZZ_SEED} case ${n}, a mutant of ${seed.name}`, { cause: thrown });
    }
    slowest = Math.max(slowest, performance.now() - start);
  }
  assert.ok(slowest < MAX_SECONDS * 1000, `the slowest case took ${slowest} ms`);
  t.diagnostic(
    `seed ${FUZZ_SEED}: ${CASES} cases of ${seeds.length} pages, ${counts.decoded} decoded, ${counts.refused} refused, slowest ${slowest.toFixed(0)} ms`,
  );
  assert.ok(counts.decoded > CASES / 20 && counts.refused > CASES / 5, 'both sides of the decoder were reached');
});
