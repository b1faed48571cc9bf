/**
 * The header before each page. Writers may put statistics with whole values in it, so its length has no small bound;
 * a reader takes what it hopes is enough and is told `needs_more` when it was not.
 */

import { corrupt, unsupported } from '../core/index.ts';
import { ENCODINGS, type Encoding, PAGE_TYPES, type PageType } from './file-format.ts';
import { ThriftEndError, ThriftReader } from './thrift.ts';

/** A header longer than this is refused: its statistics would hold a value of many megabytes, twice. */
export const MAX_PAGE_HEADER_BYTES = 16 * 2 ** 20;

export interface PageHeader {
  readonly type: PageType;
  readonly headerLength: number;
  readonly compressedPageSize: number;
  readonly uncompressedPageSize: number;
  /** CRC-32 of the page's body as it is stored, as an unsigned number. */
  readonly crc: number | undefined;
  /** Values of a data page, nulls included; entries of a dictionary page; 0 for an index page. */
  readonly numValues: number;
  readonly encoding: Encoding;
  /** Of a v1 data page; v2 levels are always RLE. */
  readonly definitionLevelEncoding: Encoding;
  readonly repetitionLevelEncoding: Encoding;
  /** Of a v2 data page; undefined in the others, which do not say. */
  readonly numNulls: number | undefined;
  readonly numRows: number | undefined;
  readonly definitionLevelsByteLength: number;
  readonly repetitionLevelsByteLength: number;
  /** Of a v2 data page: whether the values are compressed by the chunk's codec. True for the others. */
  readonly isCompressed: boolean;
  /** Of a dictionary page, a hint. */
  readonly isSorted: boolean;
}

type Draft = { -readonly [Field in keyof PageHeader]: PageHeader[Field] };

/** The header that starts at `offset`. Throws `corrupt` on nonsense and `unsupported` on a type it does not know. */
export function decodePageHeader(bytes: Uint8Array, offset: number): PageHeader | 'needs_more' {
  const reader = new ThriftReader(bytes, offset, Math.min(bytes.length, offset + MAX_PAGE_HEADER_BYTES));
  try {
    return readPageHeader(reader, offset);
  } catch (error) {
    if (!(error instanceof ThriftEndError)) throw error;
    if (bytes.length - offset < MAX_PAGE_HEADER_BYTES) return 'needs_more';
    throw corrupt(`a page header is longer than ${MAX_PAGE_HEADER_BYTES} bytes`);
  }
}

function readPageHeader(reader: ThriftReader, offset: number): PageHeader {
  let type = -1;
  let compressedPageSize = -1;
  let uncompressedPageSize = -1;
  let crc: number | undefined;
  let draft: Draft | undefined;
  let draftType: PageType | undefined;
  for (let field = reader.nextField(0); field !== 0; field = reader.nextField(field)) {
    switch (field) {
      case 0x16:
        type = reader.integer();
        break;
      case 0x26:
        uncompressedPageSize = reader.integer();
        break;
      case 0x36:
        compressedPageSize = reader.integer();
        break;
      case 0x46:
        crc = reader.integer() >>> 0;
        break;
      case 0x5c:
        draft = readDataPageHeader(reader);
        draftType = 'DATA_PAGE';
        break;
      case 0x7c:
        draft = readDictionaryPageHeader(reader);
        draftType = 'DICTIONARY_PAGE';
        break;
      case 0x8c:
        draft = readDataPageHeaderV2(reader);
        draftType = 'DATA_PAGE_V2';
        break;
      default:
        reader.skip(field);
    }
  }
  if (type === -1) throw corrupt('a page header has no page type');
  const name = PAGE_TYPES[type];
  if (name === undefined) throw unsupported(`page type ${type} is not known to this version`);
  if (name === 'INDEX_PAGE') draft = emptyDraft();
  else if (draft === undefined || draftType !== name) throw corrupt(`a ${name} has no header of its own kind`);
  checkSize('compressed_page_size', compressedPageSize);
  checkSize('uncompressed_page_size', uncompressedPageSize);
  draft.type = name;
  draft.headerLength = reader.offset - offset;
  draft.compressedPageSize = compressedPageSize;
  draft.uncompressedPageSize = uncompressedPageSize;
  draft.crc = crc;
  if (name === 'DATA_PAGE_V2') checkV2(draft);
  return draft;
}

/** DataPageHeader */
function readDataPageHeader(reader: ThriftReader): Draft {
  const draft = emptyDraft();
  let encoding = -1;
  let definitionLevelEncoding = -1;
  let repetitionLevelEncoding = -1;
  let numValues = -1;
  for (let field = reader.nextField(0); field !== 0; field = reader.nextField(field)) {
    if (field === 0x16) numValues = reader.integer();
    else if (field === 0x26) encoding = reader.integer();
    else if (field === 0x36) definitionLevelEncoding = reader.integer();
    else if (field === 0x46) repetitionLevelEncoding = reader.integer();
    else reader.skip(field);
  }
  draft.numValues = checkSize('num_values', numValues);
  draft.encoding = encodingOf(encoding);
  draft.definitionLevelEncoding = encodingOf(definitionLevelEncoding);
  draft.repetitionLevelEncoding = encodingOf(repetitionLevelEncoding);
  return draft;
}

/** DictionaryPageHeader */
function readDictionaryPageHeader(reader: ThriftReader): Draft {
  const draft = emptyDraft();
  let numValues = -1;
  let encoding = -1;
  for (let field = reader.nextField(0); field !== 0; field = reader.nextField(field)) {
    if (field === 0x16) numValues = reader.integer();
    else if (field === 0x26) encoding = reader.integer();
    else if (field === 0x31) draft.isSorted = true;
    else reader.skip(field);
  }
  draft.numValues = checkSize('num_values', numValues);
  draft.encoding = encodingOf(encoding);
  return draft;
}

/** DataPageHeaderV2 */
function readDataPageHeaderV2(reader: ThriftReader): Draft {
  const draft = emptyDraft();
  const counts = [-1, -1, -1, -1, -1, -1, -1];
  for (let field = reader.nextField(0); field !== 0; field = reader.nextField(field)) {
    if ((field & 0x0f) === 0x06 && field >= 0x16 && field <= 0x66) counts[field >> 4] = reader.integer();
    else if (field === 0x72) draft.isCompressed = false;
    else reader.skip(field);
  }
  draft.numValues = checkSize('num_values', counts[1]!);
  draft.numNulls = checkSize('num_nulls', counts[2]!);
  draft.numRows = checkSize('num_rows', counts[3]!);
  draft.encoding = encodingOf(counts[4]!);
  draft.definitionLevelsByteLength = checkSize('definition_levels_byte_length', counts[5]!);
  draft.repetitionLevelsByteLength = checkSize('repetition_levels_byte_length', counts[6]!);
  return draft;
}

function checkV2(header: PageHeader): void {
  const { numValues, numNulls, numRows } = header;
  if (numNulls !== undefined && numNulls > numValues) {
    throw corrupt(`a data page has ${numNulls} nulls among ${numValues} values`);
  }
  if (numRows !== undefined && numRows > numValues) {
    throw corrupt(`a data page has ${numRows} rows but only ${numValues} values`);
  }
  const levels = header.definitionLevelsByteLength + header.repetitionLevelsByteLength;
  if (levels > header.compressedPageSize || levels > header.uncompressedPageSize) {
    throw corrupt(`a data page of ${header.compressedPageSize} bytes says that its levels take ${levels}`);
  }
}

function emptyDraft(): Draft {
  return {
    type: 'INDEX_PAGE',
    headerLength: 0,
    compressedPageSize: 0,
    uncompressedPageSize: 0,
    crc: undefined,
    numValues: 0,
    encoding: 'PLAIN',
    definitionLevelEncoding: 'RLE',
    repetitionLevelEncoding: 'RLE',
    numNulls: undefined,
    numRows: undefined,
    definitionLevelsByteLength: 0,
    repetitionLevelsByteLength: 0,
    isCompressed: true,
    isSorted: false,
  };
}

function encodingOf(number: number): Encoding {
  const encoding = ENCODINGS[number];
  if (encoding !== undefined) return encoding;
  if (number === -1) throw corrupt('a page header names no encoding');
  throw unsupported(`encoding ${number} is not known to this version`);
}

function checkSize(name: string, value: number): number {
  if (value < 0 || value > 0x7fff_ffff)
    throw corrupt(`a page header's ${name} is ${value === -1 ? 'missing or -1' : value}`);
  return value;
}
