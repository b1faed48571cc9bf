/**
 * Fingerprints of keys as a file stores them: the same for a key that is asked for and for the row that has it.
 *
 * Values go in by what they mean: an integer of any width as 64 bits, -0 as 0, every NaN as one, a decimal by its number
 * and not by how many bytes it takes. So equal keys have equal fingerprints; what has an equal one is still looked at.
 */

import { type Block, isUnsigned, type KeyValue, keyClassOf, keyValueAt, type LeafColumn } from '../parquet/index.ts';
import { KeyHash } from './key-hash.ts';

/** Fingerprints of rows, in their order; rows with a null in their key have none. */
export interface Fingerprints {
  readonly count: number;
  readonly high: Uint32Array;
  readonly low: Uint8Array;
  /** The row of each, counted from the first that was asked for. */
  readonly row: Uint32Array;
}

/** The fingerprint of a key, by the file's own types, is in `hash` afterwards. */
export function fingerprintKey(hash: KeyHash, leaves: readonly LeafColumn[], key: readonly KeyValue[]): void {
  hash.start();
  for (const [i, leaf] of leaves.entries()) addValue(hash, leaf, key[i] ?? 0);
  hash.finish();
}

/** The fingerprints of all rows of some blocks; each column's blocks follow one another and hold the same rows. */
export function fingerprintRows(
  leaves: readonly LeafColumn[],
  columns: readonly (readonly Block[])[],
  rows: number,
): Fingerprints {
  const taken = new Taken(rows);
  const [leaf] = leaves;
  const [blocks] = columns;
  if (leaves.length === 1 && leaf !== undefined && blocks !== undefined) {
    let first = 0;
    for (const block of blocks) {
      fingerprintBlock(taken, leaf, block, first);
      first += block.rows;
    }
    return taken;
  }
  fingerprintTogether(taken, leaves, columns, rows);
  return taken;
}

class Taken implements Fingerprints {
  count = 0;
  readonly high: Uint32Array;
  readonly low: Uint8Array;
  readonly row: Uint32Array;

  constructor(rowsMax: number) {
    this.high = new Uint32Array(rowsMax);
    this.low = new Uint8Array(rowsMax);
    this.row = new Uint32Array(rowsMax);
  }

  take(high: number, low: number, row: number): void {
    const at = this.count;
    this.high[at] = high;
    this.low[at] = low;
    this.row[at] = row;
    this.count = at + 1;
  }
}

/** The rows of one block of a key's only column. A dictionary's values are hashed once, however many rows have them. */
function fingerprintBlock(taken: Taken, leaf: LeafColumn, block: Block, firstRow: number): void {
  const { dictionary } = block;
  const add = rowAdder(leaf);
  const hash = new KeyHash();
  if (dictionary === undefined || dictionary.rows > block.rows) {
    for (let row = 0; row < block.rows; row += 1) {
      if (block.isNull(row)) continue;
      add(hash.start(), block, row);
      hash.finish();
      taken.take(hash.high, hash.low, firstRow + row);
    }
    return;
  }
  const words = fingerprintRows([leaf], [[dictionary]], dictionary.rows);
  for (let row = 0; row < block.rows; row += 1) {
    if (block.isNull(row)) continue;
    const code = block.codeAt(row);
    taken.take(words.high[code] ?? 0, words.low[code] ?? 0, firstRow + row);
  }
}

/** Rows of several columns, whose blocks are cut at rows of their own. */
function fingerprintTogether(
  taken: Taken,
  leaves: readonly LeafColumn[],
  columns: readonly (readonly Block[])[],
  rows: number,
): void {
  const hash = new KeyHash();
  const cursors = leaves.map((leaf, i) => new BlocksCursor(rowAdder(leaf), columns[i] ?? []));
  for (let row = 0; row < rows; row += 1) {
    let isNull = false;
    hash.start();
    for (const cursor of cursors) if (!cursor.addRow(hash, row)) isNull = true;
    if (isNull) continue;
    hash.finish();
    taken.take(hash.high, hash.low, row);
  }
}

/** Goes through the blocks of one column by ascending rows. */
class BlocksCursor {
  readonly #add: AddRow;
  readonly #blocks: readonly Block[];
  #ordinal = 0;
  #firstRow = 0;

  constructor(add: AddRow, blocks: readonly Block[]) {
    this.#add = add;
    this.#blocks = blocks;
  }

  /** False where the row is null. */
  addRow(hash: KeyHash, row: number): boolean {
    let block = this.#blocks[this.#ordinal];
    while (block !== undefined && row - this.#firstRow >= block.rows) {
      this.#firstRow += block.rows;
      this.#ordinal += 1;
      block = this.#blocks[this.#ordinal];
    }
    if (block === undefined || block.isNull(row - this.#firstRow)) return false;
    this.#add(hash, block, row - this.#firstRow);
    return true;
  }
}

type AddRow = (hash: KeyHash, block: Block, row: number) => void;

/** What adds a row that is not null, without a value of its own in between where that can be. */
function rowAdder(leaf: LeafColumn): AddRow {
  switch (keyClassOf(leaf)) {
    case 'int64':
      return (hash, block, row) => hash.addInt64(block.int64LowAt(row), block.int64HighAt(row));
    case 'int32':
      if (isUnsigned(leaf)) return (hash, block, row) => hash.addInt64(block.uint32At(row), 0);
      return (hash, block, row) => {
        const value = block.int32At(row);
        hash.addInt64(value, value >> 31);
      };
    case 'bytes':
      return addBytes;
    default:
      return (hash, block, row) => addValue(hash, leaf, keyValueAt(block, leaf, row));
  }
}

function addBytes(hash: KeyHash, block: Block, row: number): void {
  if (block.kind === 'BYTES') {
    const offsets = block.offsets();
    hash.addBytes(block.bytes(), offsets[row] ?? 0, offsets[row + 1] ?? 0);
    return;
  }
  const bytes = block.bytesAt(row);
  hash.addBytes(bytes, 0, bytes.length);
}

function addValue(hash: KeyHash, leaf: LeafColumn, value: KeyValue): void {
  if (typeof value === 'bigint') addBigInt(hash, value);
  else if (value instanceof Uint8Array) hash.addBytes(value, 0, value.length);
  else if (typeof value === 'boolean') hash.addInt64(value ? 1 : 0, 0);
  else if (keyClassOf(leaf) === 'float') addFloat(hash, value);
  else hash.addInt64(value | 0, value < 0 ? -1 : 0);
}

const float = new Float64Array(1);
const halves = new Int32Array(float.buffer);

function addFloat(hash: KeyHash, value: number): void {
  float[0] = Number.isNaN(value) ? Number.NaN : value + 0;
  hash.addInt64(halves[0] ?? 0, halves[1] ?? 0);
}

/** A decimal may be larger than 64 bits. */
function addBigInt(hash: KeyHash, value: bigint): void {
  const plain = Number(value);
  if (Number.isSafeInteger(plain)) {
    hash.addInt64(plain | 0, Math.floor(plain / 2 ** 32));
    return;
  }
  let rest = value;
  do {
    hash.addInt64(Number(BigInt.asIntN(32, rest)), Number(BigInt.asIntN(32, rest >> 32n)));
    rest >>= 64n;
  } while (rest !== 0n && rest !== -1n);
}
