/** The rows of a source, leaf by leaf in their stored form, and what a copy of them keeps of their footers. */

import { ServiceError } from '../core/index.ts';
import { type LeafColumn, ThriftReader } from '../parquet/index.ts';
import type { PageLoader } from '../shard/index.ts';
import { parseSourceUri } from '../storage/index.ts';
import { type BlockAt, type Need, Pins, partitionFolders, type Snapshot, type TableFile } from '../table/index.ts';

/** Footer length and magic. */
const TAIL_BYTES = 8;
const KEY_VALUE_METADATA = 0x59;

export interface RewriteSource {
  /** By the partition folders that they lie in, `dt=1/hour=2/`, or '' where they lie in none. */
  readonly folders: ReadonlyMap<string, readonly TableFile[]>;
  readonly files: readonly TableFile[];
  readonly leaves: readonly LeafColumn[];
  readonly schemaBytes: Uint8Array;
  /** Ordinals. */
  readonly sortedBy: readonly number[];
}

/** What cannot be copied exactly is refused here, before any row is read. */
export function checkedSource(snapshot: Snapshot, uri: string): RewriteSource {
  const files = snapshot.files.map((file) => {
    if (file.kind === 'broken') throw file.error;
    return file.file;
  });
  const [first] = files;
  if (first === undefined) throw new ServiceError('notFound', 'no_files', `${uri} has no files to rewrite`);
  const { schema, schemaBytes } = first.index;
  for (const { index, object } of files) {
    if (Buffer.compare(index.schemaBytes, schemaBytes) === 0) continue;
    throw refused(`${object.key} has another schema than ${first.object.key}; rewrite files of one schema together`);
  }
  // In a folder every row has the same value of a partition column.
  const inFiles = snapshot.keyColumns.filter(({ partition }) => partition === undefined);
  const sortedBy = inFiles.map(({ name }) => ordinalOf(schema.leaves, name));
  return { folders: byFolder(files, uri), files, leaves: schema.leaves, schemaBytes, sortedBy };
}

function ordinalOf(leaves: readonly LeafColumn[], name: string): number {
  const leaf = leaves.find(({ path }) => path.length === 1 && path[0] === name);
  if (leaf === undefined) throw refused(`key column ${name} is no flat column`);
  return leaf.ordinal;
}

/** Folders are kept as they are spelt; those that are no partition are not. */
function byFolder(files: readonly TableFile[], uri: string): ReadonlyMap<string, readonly TableFile[]> {
  const source = parseSourceUri(uri);
  const root = source.kind === 'object' ? `${source.key}/` : source.prefix;
  const folders = new Map<string, TableFile[]>();
  for (const file of files) {
    const { key } = file.object;
    const below = key.startsWith(root) ? key.slice(root.length, key.lastIndexOf('/') + 1) : '';
    const folder = partitionFolders(below)
      .map(({ path }) => `${path.slice(0, -1).split('/').at(-1)}/`)
      .join('');
    const known = folders.get(folder);
    if (known === undefined) folders.set(folder, [file]);
    else known.push(file);
  }
  return folders;
}

function refused(why: string): ServiceError {
  return new ServiceError('unsupported', 'not_rewritable', why);
}

/** The `list<KeyValue>` that all footers share; undefined where they differ or have none. */
export async function sharedKeyValues(files: readonly TableFile[]): Promise<Uint8Array | undefined> {
  let shared: Uint8Array | undefined;
  for (const [i, file] of files.entries()) {
    const own = await keyValuesOf(file);
    if (own === undefined || (i > 0 && (shared === undefined || Buffer.compare(own, shared) !== 0))) return undefined;
    shared = own;
  }
  return shared;
}

async function keyValuesOf({ store, object }: TableFile): Promise<Uint8Array | undefined> {
  const end = object.sizeBytes - TAIL_BYTES;
  const tail = Buffer.from(await store.getRange(object, { start: end, end: object.sizeBytes }));
  const footer = await store.getRange(object, { start: end - tail.readUInt32LE(0), end });
  const reader = new ThriftReader(footer);
  for (let field = reader.nextField(0); field !== 0; field = reader.nextField(field)) {
    const start = reader.offset;
    reader.skip(field);
    if (field === KEY_VALUE_METADATA) return footer.slice(start, reader.offset);
  }
  return undefined;
}

/** Rows [start, end), each of which every leaf's block holds. */
export interface LeafStretch {
  readonly start: number;
  readonly end: number;
  readonly blocks: readonly BlockAt[];
}

/** Only the pages under the cursor are held. A stretch is to be used before the next is asked for. */
export async function* leafStretches(
  loader: PageLoader,
  files: readonly TableFile[],
  leaves: readonly LeafColumn[],
  signal: AbortSignal,
): AsyncGenerator<LeafStretch, void> {
  for (const file of files) {
    for (let rowGroup = 0; rowGroup < file.index.rowGroups; rowGroup++) {
      const rows = file.index.rowGroupRows(rowGroup);
      const pins = new Pins();
      for (let start = 0; start < rows; ) {
        const blocks = await blocksAt(loader, file, leaves, rowGroup, start, pins, signal);
        const end = Math.min(rows, ...blocks.map(({ firstRow, block }) => firstRow + block.rows));
        if (end <= start)
          throw new ServiceError('internal', 'internal', 'a block does not hold the row it was found by');
        yield { start, end, blocks };
        start = end;
      }
    }
  }
}

async function blocksAt(
  loader: PageLoader,
  file: TableFile,
  leaves: readonly LeafColumn[],
  rowGroup: number,
  row: number,
  pins: Pins,
  signal: AbortSignal,
): Promise<readonly BlockAt[]> {
  for (;;) {
    const needs: Need[] = [];
    const blocks: BlockAt[] = [];
    for (const { ordinal } of leaves) {
      const chunk = file.chunk(rowGroup, ordinal);
      const at = chunk.hold(row, pins);
      if (at !== undefined) blocks.push(at);
      else if (chunk.layout === undefined) needs.push({ kind: 'layout', file, chunk });
      else needs.push({ kind: 'page', file, chunk, page: chunk.layout.locations.pageOf(row), row });
    }
    if (needs.length === 0) return blocks;
    // The pages of these chunks that were held lie behind the cursor.
    for (const need of needs) pins.delete(need.chunk);
    const [failed] = await loader.load(needs, pins, signal);
    if (failed !== undefined) throw failed.error;
  }
}
