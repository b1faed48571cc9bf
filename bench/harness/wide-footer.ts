/**
 * A footer such as Arrow writes for a feature table: integers, timestamps, doubles, short and long strings, booleans;
 * statistics with exact flags, encoding statistics, dictionaries, page index offsets. Made of nothing but its numbers,
 * so that a thousand row groups need no file.
 */

import { type ChunkSpec, type ColumnSpec, TYPE, writeFooter } from '../../test/parquet/support/footer-writer.ts';

export interface WideFooter {
  readonly bytes: Uint8Array;
  readonly fileLength: number;
}

const ROWS = 100_000;
const CHUNK_BYTES = 400_000;
const KINDS = ['int64', 'double', 'int64', 'double', 'int32', 'string', 'timestamp', 'double', 'longString', 'boolean'];

export function makeWideFooter(rowGroups: number, columns: number): WideFooter {
  const chunks = Array.from({ length: rowGroups * columns }, (_, chunk) => (chunk * 7919) % 50_000);
  const starts = placesFrom(4, chunks, (jitter) => CHUNK_BYTES - jitter);
  const columnIndexes = placesFrom(starts.end, chunks, columnIndexBytes);
  const offsetIndexes = placesFrom(columnIndexes.end, chunks, offsetIndexBytes);
  const bytes = writeFooter({
    columns: Array.from({ length: columns }, (_, column) => columnSpec(column)),
    rowGroupRows: Array.from({ length: rowGroups }, () => ROWS),
    createdBy: 'parquet-cpp-arrow version 21.0.0',
    chunk: (rowGroup, column) => {
      const chunk = rowGroup * columns + column;
      const start = starts.at[chunk]!;
      const jitter = chunks[chunk]!;
      const isString = KINDS[column % KINDS.length]!.toLowerCase().includes('string');
      return {
        start: isString ? start + 9000 + (jitter % 800) : start,
        ...(isString ? { dictionaryPageOffset: start } : {}),
        length: CHUNK_BYTES - jitter,
        uncompressedLength: 2 * CHUNK_BYTES + jitter,
        codec: 1,
        encodings: isString ? [0, 3, 8] : [0, 3],
        encodingStats: isString
          ? [
              [2, 0, 1],
              [0, 8, 20],
            ]
          : [[0, 0, 20]],
        statistics: statisticsOf(rowGroup, column),
        columnIndex: [columnIndexes.at[chunk]!, columnIndexBytes(jitter)],
        offsetIndex: [offsetIndexes.at[chunk]!, offsetIndexBytes(jitter)],
      };
    },
  });
  return { bytes, fileLength: offsetIndexes.end + bytes.length + 8 };
}

const columnIndexBytes = (jitter: number) => 1400 + (jitter % 100);
const offsetIndexBytes = (jitter: number) => 500 + (jitter % 100);

/** One after the other without gaps, as writers lay chunks and indexes. */
function placesFrom(start: number, chunks: readonly number[], lengthOf: (jitter: number) => number) {
  let end = start;
  const at = chunks.map((jitter) => {
    end += lengthOf(jitter);
    return end - lengthOf(jitter);
  });
  return { at, end };
}

function columnSpec(column: number): ColumnSpec {
  const kind = KINDS[column % KINDS.length]!;
  const name = `${kind}_feature_${column}`;
  if (kind === 'double') return { name, type: TYPE.DOUBLE };
  if (kind === 'int32') return { name, type: TYPE.INT32 };
  if (kind === 'boolean') return { name, type: TYPE.BOOLEAN };
  if (kind === 'timestamp') return { name, type: TYPE.INT64, convertedType: 10 };
  return kind === 'int64' ? { name, type: TYPE.INT64 } : { name, type: TYPE.BYTE_ARRAY, convertedType: 0 };
}

function statisticsOf(rowGroup: number, column: number): NonNullable<ChunkSpec['statistics']> {
  const seed = rowGroup * 1_000_003 + column * 97;
  const nullCount = seed % 1000;
  const bound = (last: number) => boundOf(KINDS[column % KINDS.length]!, seed + last);
  return { minValue: bound(0), maxValue: bound(ROWS), nullCount, minExact: true, maxExact: true };
}

function boundOf(kind: string, number: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  if (kind === 'double') bytes.writeDoubleLE(number / 7);
  else if (kind === 'int32') return bytes.subarray(0, bytes.writeInt32LE(number % 2 ** 31));
  else if (kind === 'boolean') return Buffer.of(number % 1_000_003 < 100_000 ? 0 : 1);
  else if (kind === 'timestamp') bytes.writeBigInt64LE(1_700_000_000_000_000n + BigInt(number) * 1000n);
  else if (kind === 'int64') bytes.writeBigInt64LE(BigInt(number) * 1_000_003n);
  else if (kind === 'string') return Buffer.from(`city-${String(number).padStart(10, '0')}`);
  else return Buffer.from(`https://example.org/items/${String(number).padStart(12, '0')}/detail`);
  return bytes;
}
