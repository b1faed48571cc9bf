/**
 * From a located row to what is sent: the text of its columns, or the one value asked for.
 *
 * Every function here is synchronous and says `undefined` when a page of the row is not in memory; `missingPages` says
 * which. A lookup that waits passes the pages it holds, a hot one passes none.
 */

import {
  ASK,
  type BlockAt,
  type BlockWriter,
  CastValues,
  castFaultIn,
  folderValue,
  type JsonValue,
  type JsonWriter,
  jsonText,
  NESTED,
  type Need,
  NestedWriter,
  NULL,
  NUMBER,
  type NumberForm,
  type Pins,
  type Projection,
  positionsOf,
  type RawValue,
  type RowValues,
  type Snapshot,
  type SnapshotReadableFile,
  type TableColumn,
  type ValueWriter,
  valuesOfRow,
} from '../table/index.ts';

/** The slowest tier that an answer had to touch. */
export type Tier = 'memory' | 'disk' | 'origin';

const TIERS: readonly Tier[] = ['memory', 'disk', 'origin'];

export function slowerTier(a: Tier, b: Tier): Tier {
  return TIERS.indexOf(a) > TIERS.indexOf(b) ? a : b;
}

export type ValueAnswer =
  | { readonly kind: 'absent' | 'null'; readonly tier: Tier; readonly snapshot: Snapshot }
  | { readonly kind: 'value'; readonly value: RawValue; readonly tier: Tier; readonly snapshot: Snapshot };

/** Where a key was found; `row` is counted within the row group. */
export interface RowPlace {
  readonly file: SnapshotReadableFile;
  readonly rowGroup: number;
  readonly row: number;
}

/** The row as a JSON object. */
export function encodeRow(place: RowPlace, projection: Projection, pins: Pins | undefined): string | undefined {
  const { mapping, file } = place.file;
  if (mapping.casts === undefined) return writeRow(place, projection, projection.writers, pins);
  try {
    return writeRow(place, projection, projection.writersFor(mapping), pins);
  } catch (thrown) {
    throw castFaultIn(thrown, file.object.key, place.rowGroup);
  }
}

function writeRow(
  place: RowPlace,
  projection: Projection,
  writers: readonly BlockWriter[],
  pins: Pins | undefined,
): string | undefined {
  const { fragments, closing } = projection;
  // What waits holds blocks of its own, and casts are between blocks and writers.
  const isPlain = pins === undefined && writers === projection.writers;
  const values = isPlain ? valuesOfRow(place.file, place.rowGroup, place.row, projection) : undefined;
  if (isPlain && values === undefined) return undefined;
  const whole = values && writeAtOnce(values, projection);
  if (whole !== undefined) return whole;
  let json = '';
  for (let i = 0; i < fragments.length; i++) {
    const text = simpleText(values, projection, i) ?? askedText(place, projection, i, writers, pins);
    if (text === undefined) return undefined;
    json += fragments[i] + text;
  }
  return json + closing;
}

/** Undefined where the row has anything but numbers, texts and nulls. */
function writeAtOnce(values: RowValues, { template, names, numberValues }: Projection): string | undefined {
  if (template === undefined) return undefined;
  const { states, numbers } = values;
  for (let i = 0; i < names.length; i++) {
    const state = states[i];
    if (state === ASK) return undefined;
    let value: JsonValue = null;
    if (state === NUMBER) {
      value = (numberValues[i] as NumberForm['value'])(numbers[i] as number);
      if (value === 0 && Object.is(value, -0)) return undefined;
    } else if (state !== NULL) value = values.textOf(i);
    template[names[i] as string] = value;
  }
  return JSON.stringify(template);
}

/** Undefined for what has to be asked of its block. */
function simpleText(values: RowValues | undefined, { numberValues }: Projection, column: number): string | undefined {
  const state = values?.states[column] ?? ASK;
  if (values === undefined || state === ASK) return undefined;
  if (state === NULL) return 'null';
  if (state !== NUMBER) return JSON.stringify(values.textOf(column));
  return jsonText((numberValues[column] as NumberForm['value'])(values.numbers[column] as number));
}

/** The text of one column by its writer; undefined where a page is not in memory. */
function askedText(
  place: RowPlace,
  { ordinals, columns, nested, writers: ofFolders }: Projection,
  column: number,
  writers: readonly BlockWriter[],
  pins: Pins | undefined,
): string | undefined {
  const position = place.file.leafPositions[ordinals[column] ?? -1] ?? -1;
  if (position === NESTED) return nestedText(place, nested[column], pins);
  if (position < 0) return folderText(place, columns[column], ofFolders[column]);
  const at = place.file.file.chunk(place.rowGroup, position).at(place.row, pins);
  return at && (writers[column] as BlockWriter)(at.block, place.row - at.firstRow);
}

/** The value of a column that is not in the file: its folder's, else null. */
function folderText({ file }: RowPlace, column: TableColumn | undefined, writer: JsonWriter | undefined): string {
  const value = folderValue(file, column);
  return value === undefined || writer === undefined ? 'null' : writer(value, 0);
}

/** The value of a nested column, or undefined when a page of one of its leaves is missing. */
export function nestedText(
  place: RowPlace,
  writer: NestedWriter | undefined,
  pins: Pins | undefined,
): string | undefined {
  const { file, mapping } = place.file;
  const assembly = writer?.assemblyFor(mapping);
  if (assembly === undefined) return 'null';
  const blocks: BlockAt[] = [];
  for (const leaf of assembly.leaves) {
    const at = file.chunk(place.rowGroup, leaf.ordinal).at(place.row, pins);
    if (at === undefined) return undefined;
    blocks.push(at);
  }
  try {
    return assembly.json(blocks, place.row);
  } catch (thrown) {
    throw castFaultIn(thrown, file.object.key, place.rowGroup);
  }
}

export function encodeValue(
  place: RowPlace,
  column: TableColumn,
  writer: ValueWriter | NestedWriter,
  pins: Pins | undefined,
  tier: Tier,
  snapshot: Snapshot,
): ValueAnswer | undefined {
  if (writer instanceof NestedWriter) {
    const body = nestedText(place, writer, pins);
    if (body === undefined) return undefined;
    if (body === 'null') return { kind: 'null', tier, snapshot };
    return { kind: 'value', value: { contentType: 'application/json', body }, tier, snapshot };
  }
  const position = place.file.leafPositions[column.ordinal] ?? -1;
  if (position < 0) {
    const inFolder = folderValue(place.file, column);
    const value = inFolder && writer(inFolder, 0);
    return value === undefined ? { kind: 'null', tier, snapshot } : { kind: 'value', value, tier, snapshot };
  }
  const at: BlockAt | undefined = place.file.file.chunk(place.rowGroup, position).at(place.row, pins);
  if (at === undefined) return undefined;
  const value = writeValue(place, column, writer, at);
  return value === undefined ? { kind: 'null', tier, snapshot } : { kind: 'value', value, tier, snapshot };
}

function writeValue(place: RowPlace, column: TableColumn, writer: ValueWriter, at: BlockAt): RawValue | undefined {
  const { mapping, file } = place.file;
  const row = place.row - at.firstRow;
  const cast = mapping.casts?.[column.ordinal];
  if (cast === undefined) return writer(at.block, row);
  try {
    return writer(new CastValues(at.block, cast), row);
  } catch (thrown) {
    throw castFaultIn(thrown, file.object.key, place.rowGroup);
  }
}

/** The layouts, then the pages, that these columns of the row still lack. */
export function missingPages(place: RowPlace, columns: readonly TableColumn[], pins: Pins): readonly Need[] {
  const file = place.file.file;
  const needs: Need[] = [];
  for (const column of columns) {
    for (const position of positionsOf(place.file.mapping, column)) {
      const chunk = file.chunk(place.rowGroup, position);
      if (chunk.layout === undefined) needs.push({ kind: 'layout', file, chunk });
      else if (chunk.at(place.row, pins) === undefined) {
        const { row } = place;
        needs.push({ kind: 'page', file, chunk, page: chunk.layout.locations.pageOf(row), row, only: 'row' });
      }
    }
  }
  return needs;
}
