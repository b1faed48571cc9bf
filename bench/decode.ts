/**
 * Full decode of whole columns to blocks, beside hyparquet with native decompressors and beside parquet-wasm handing
 * the same column to apache-arrow; and the cost of one value from a decoded block. `--small` takes a few seconds.
 *
 * The readers take turns in each round, each from a collected heap, so that none pays for another's garbage; the median
 * time and the median of the rounds' ratios are printed, the lost cells too. Between them the pages' bodies are only
 * decompressed, by the library that all but parquet-wasm use: what that takes of our time is printed, and nobody can be
 * faster. A digest of every value is compared before anything is timed, so that no reader can be fast by leaving work
 * undone. `--only TEXT` measures the cells whose names hold the text.
 */

import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { zstdDecompressSync } from 'node:zlib';
import * as arrow from 'apache-arrow';
import { type FileMetaData, parquetMetadata, parquetRead } from 'hyparquet';
import * as wasm from 'parquet-wasm/node';
import { uncompressSync } from 'snappy';
import {
  Block,
  decodeDataPage,
  decodeDictionaryPage,
  decodePageHeader,
  FileIndex,
  type PageContext,
  type PhysicalType,
} from '../src/parquet/index.ts';
import { COLUMN_CASES, type ColumnCase, writeColumn } from './harness/column-files.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const isSmall = process.argv.includes('--small');
const ROWS = isSmall ? 50_000 : 1_000_000;
const ROUNDS = isSmall ? 3 : 7;
/** What a full run has to reach; small runs only print. */
const GOALS = { hyparquet: 4, parquetWasm: 1, fixedValueNs: 100, stringValueNs: 300 };

const missed: string[] = [];
const digest = createHash('sha256');

async function compare({ name, encoding }: ColumnCase, codec: Codec, file: Uint8Array): Promise<void> {
  const index = footerOf(file);
  const buffer = file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength) as ArrayBuffer;
  const metadata = parquetMetadata(buffer);
  const type = index.schema.leaves[0]!.physicalType;

  const ours = () => decodeOurs(file, index);
  const hyparquet = () => decodeHyparquet(buffer, metadata);
  const parquetWasm = () => arrow.tableFromIPC(wasm.readParquet(file).intoIPCStream());
  const theirs = [digestColumns(await hyparquet()), digestColumns([parquetWasm().getChildAt(0)!])];
  checkAnswers([digestOurs(ours(), type), ...theirs], `${name} ${encoding}`);

  const bodies = compressedBodies(file, index);
  const decompression = () => bodies.map(([body, length]) => NATIVE[codec](body, length));
  const rounds: Round[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    rounds.push({
      ours: await elapsed(ours),
      hyparquet: await elapsed(hyparquet),
      wasm: await elapsed(parquetWasm),
      decompression: await elapsed(decompression),
    });
  }
  report(`${name}, ${encoding}, ${codec}`, ours().bytes, rounds);
}

/** Milliseconds of each reader, one after the other. */
interface Round {
  readonly ours: number;
  readonly hyparquet: number;
  readonly wasm: number;
  /** Only that, of every page. */
  readonly decompression: number;
}

function report(cell: string, bytes: number, rounds: readonly Round[]): void {
  const ms = median(rounds.map((round) => round.ours));
  const hyparquet = median(rounds.map((round) => round.hyparquet / round.ours));
  const wasm = median(rounds.map((round) => round.wasm / round.ours));
  const ours = `${ms.toFixed(1)} ms ${(bytes / ms / 1000).toFixed(0)} MB/s`;
  const share = median(rounds.map((round) => round.decompression / round.ours));
  const theirs = `hyparquet ${hyparquet.toFixed(1)}x`.padEnd(17);
  const ratios = `${theirs} parquet-wasm + arrow ${wasm.toFixed(2)}x`.padEnd(46);
  console.log(`  ${cell.padEnd(54)} ${ours.padEnd(20)} ${ratios} decompression ${(100 * share).toFixed(0)}%`);
  if (hyparquet >= GOALS.hyparquet && wasm >= GOALS.parquetWasm) return;
  const spread = (key: keyof Round) => {
    const times = rounds.map((round) => round[key]);
    return `${median(times).toFixed(1)} [${Math.min(...times).toFixed(1)} to ${Math.max(...times).toFixed(1)}]`;
  };
  console.log(
    `    ms: ours ${spread('ours')}, decompression alone ${spread('decompression')}, hyparquet ${spread('hyparquet')}, parquet-wasm ${spread('wasm')}`,
  );
  if (hyparquet < GOALS.hyparquet) missed.push(`${cell}: ${hyparquet.toFixed(1)}x hyparquet`);
  if (wasm < GOALS.parquetWasm) missed.push(`${cell}: ${wasm.toFixed(2)}x parquet-wasm`);
}

function footerOf(file: Uint8Array): FileIndex {
  const length = new DataView(file.buffer, file.byteOffset + file.length - 8, 4).getUint32(0, true);
  return FileIndex.parse(file.subarray(file.length - 8 - length, file.length - 8), file.length);
}

interface Decoded {
  readonly blocks: readonly Block[];
  readonly bytes: number;
}

/** Every page of the only column: headers walked, as for a file without an offset index. */
function decodeOurs(file: Uint8Array, index: FileIndex, blockBytes = 32 * 1024): Decoded {
  const blocks: Block[] = [];
  let bytes = 0;
  for (let rowGroup = 0; rowGroup < index.rowGroups; rowGroup += 1) {
    const { leaf, codec, range, numValues } = index.chunk(rowGroup, 0);
    const context = {
      leaf,
      codec,
      dictionaryRows: undefined,
      expectedRows: undefined,
      verifyCrc: true,
      blockBytes,
      maxPageBytes: 2 ** 28,
    };
    let dictionary: Block | undefined;
    let pageContext: PageContext = context;
    for (let position = range.start, values = 0; values < numValues; ) {
      const header = decodePageHeader(file, position);
      if (header === 'needs_more') throw new Error('a page header is cut off');
      const end = position + header.headerLength + header.compressedPageSize;
      const page = file.subarray(position, end);
      if (header.type === 'DICTIONARY_PAGE') {
        dictionary = Block.open(decodeDictionaryPage(page, context));
        pageContext = { ...context, dictionaryRows: dictionary.rows };
      } else {
        for (const buffer of decodeDataPage(page, pageContext).blocks) {
          const block = Block.open(buffer);
          if (block.kind === 'CODES') block.dictionary = dictionary;
          blocks.push(block);
          bytes += block.byteLength;
        }
        values += header.numValues;
      }
      position = end;
    }
  }
  return { blocks, bytes };
}

type Codec = 'SNAPPY' | 'ZSTD';

/** Of every data page, with the length it decompresses to. */
function compressedBodies(file: Uint8Array, index: FileIndex): [body: Uint8Array, length: number][] {
  const bodies: [Uint8Array, number][] = [];
  for (let rowGroup = 0; rowGroup < index.rowGroups; rowGroup += 1) {
    const { range } = index.chunk(rowGroup, 0);
    for (let position = range.start; position < range.end; ) {
      const header = decodePageHeader(file, position);
      if (header === 'needs_more') throw new Error('a page header is cut off');
      const start = position + header.headerLength;
      position = start + header.compressedPageSize;
      bodies.push([file.subarray(start, position), header.uncompressedPageSize]);
    }
  }
  return bodies;
}

const NATIVE = {
  SNAPPY: (input: Uint8Array) => uncompressSync(input, { asBuffer: true, copyOutputData: true }) as Buffer,
  ZSTD: (input: Uint8Array, length: number) => zstdDecompressSync(input, { chunkSize: Math.max(64, length) }),
};

async function decodeHyparquet(file: ArrayBuffer, metadata: FileMetaData): Promise<Iterable<unknown>[]> {
  const chunks: Iterable<unknown>[] = [];
  await parquetRead({
    file,
    metadata,
    compressors: NATIVE,
    onChunk: ({ columnData }) => chunks.push(columnData as Iterable<unknown>),
  });
  return chunks;
}

/** Answers as lines of text, hashed a thousand at a time. */
class AnswerDigest {
  readonly #hash = createHash('sha256');
  #lines: unknown[] = [];

  add(value: unknown): void {
    this.#lines.push(value);
    if (this.#lines.length === 1000) this.#flush();
  }

  #flush(): void {
    this.#hash.update(`${this.#lines.join('\n')}\n`);
    this.#lines = [];
  }

  result(): string {
    this.#flush();
    return this.#hash.digest('hex');
  }
}

function digestOurs({ blocks }: Decoded, type: PhysicalType): string {
  const answers = new AnswerDigest();
  for (const block of blocks) {
    for (let row = 0; row < block.rows; row += 1) {
      if (type === 'BYTE_ARRAY') answers.add(block.utf8At(row));
      else answers.add(type === 'INT64' ? block.int64At(row) : block.float64At(row));
    }
  }
  return answers.result();
}

function digestColumns(columns: Iterable<Iterable<unknown>>): string {
  const answers = new AnswerDigest();
  for (const column of columns) for (const value of column) answers.add(value);
  return answers.result();
}

function checkAnswers(digests: readonly string[], cell: string): void {
  if (new Set(digests).size !== 1) throw new Error(`the readers differ on ${cell}: ${digests.join(', ')}`);
  digest.update(digests[0] ?? '');
}

/**
 * The second of two reads that begin from a collected heap: what others left is not collected on its time, and code that
 * V8 forgot in the collection has run again. Freed buffers are counted out by a task of the collector's own, which is given
 * time to run.
 */
async function elapsed(read: () => unknown): Promise<number> {
  collectGarbage();
  await sleep(10);
  await read();
  const start = performance.now();
  const answer = await read();
  if (answer === undefined) throw new Error('a reader gave nothing');
  return performance.now() - start;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >>> 1] ?? Number.NaN;
}

/** One value from a decoded block at a random row: the loop's own cost included. */
function measureValues(): void {
  const rows = 4096;
  const reads = isSmall ? 200_000 : 5_000_000;
  const order = Uint32Array.from({ length: 65_536 }, (_, i) => Math.imul(i + 1, 0x9e3779b1) >>> 20);
  const double = valueBlock(arrow.makeVector(Float64Array.from({ length: rows }, (_, i) => i / 7)), 'PLAIN');
  const text = Array.from({ length: rows }, (_, i) => `${String(i).padStart(8, '0')}${'x'.repeat(192)}`);
  const string = valueBlock(arrow.vectorFromArray(text, new arrow.Utf8()), 'PLAIN');
  const coded = valueBlock(
    arrow.vectorFromArray(
      text.map((_, i) => `code-${i % 100}`),
      new arrow.Utf8(),
    ),
    'RLE_DICTIONARY',
  );
  const time = (what: string, goal: number, read: (row: number) => number) => {
    let sum = 0;
    const rounds = Array.from({ length: ROUNDS }, () => {
      const start = performance.now();
      for (let i = 0; i < reads; i += 1) sum += read(order[i & 65_535]!);
      return ((performance.now() - start) * 1e6) / reads;
    });
    const ns = median(rounds);
    console.log(`  ${what.padEnd(54)} ${ns.toFixed(1)} ns (goal ${goal} ns, check ${sum.toFixed(0)})`);
    if (ns >= goal) missed.push(`${what}: ${ns.toFixed(0)} ns`);
  };
  time('one double from a block', GOALS.fixedValueNs, (row) => double.float64At(row));
  time('one string of 200 bytes from a block', GOALS.stringValueNs, (row) => string.utf8At(row).length);
  time('one string by its code', GOALS.stringValueNs, (row) => coded.utf8At(row).length);
}

/** All rows in one block, so that a row number addresses it. */
function valueBlock(vector: arrow.Vector, encoding: 'PLAIN' | 'RLE_DICTIONARY'): Block {
  const file = writeColumn(vector, encoding, 'SNAPPY');
  const [block, ...rest] = decodeOurs(file, footerOf(file), 2 ** 30).blocks;
  if (block === undefined || rest.length > 0) throw new Error('the rows are not in one block');
  return block;
}

console.log(`${ROWS} rows a column, medians of ${ROUNDS} interleaved rounds; MB/s are of blocks`);
const onlyAt = process.argv.indexOf('--only');
const only = onlyAt === -1 ? '' : (process.argv[onlyAt + 1] ?? '');
for (const columnCase of COLUMN_CASES) {
  if (!`${columnCase.name}, ${columnCase.encoding}`.includes(only)) continue;
  const vector = columnCase.values(ROWS);
  for (const codec of ['SNAPPY', 'ZSTD'] as const)
    await compare(columnCase, codec, writeColumn(vector, columnCase.encoding, codec, columnCase.required));
}
measureValues();
console.log(`  digest of all values ${digest.digest('hex').slice(0, 16)}`);
if (missed.length > 0) console.log(`  MISSED: ${missed.join('; ')}`);
if (missed.length > 0 && !isSmall) process.exitCode = 1;
