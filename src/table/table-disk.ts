/**
 * What one table keeps on disk beside blocks: what is known of each of its files, and its last snapshot.
 *
 * The metadata of a file is one immutable file, or of many files one pack (`metadata-packs.ts`), named after the version of the object and the key columns (whose bounds
 * are kept longer), so that two tables over one object share it. It holds the file's index and the layouts that were
 * known when it was opened:
 *
 *     0  u32  version, bytes of the index, layouts, 0
 *     16      the index; then for each layout two u32 (chunk, bytes) and its bytes, a multiple of 8
 *
 * The snapshot names objects and versions, so that a table whose storage does not answer serves what is on disk.
 */

import { createHash } from 'node:crypto';
import { type DiskCache, type FileIdentity, fileIdentity, identityText } from '../cache/index.ts';
import { copyBytes, corrupt, ServiceError } from '../core/index.ts';
import { FileIndex } from '../parquet/index.ts';
import type { ObjectMeta } from '../storage/index.ts';
import { decodeLayout, encodeLayout } from './layout-record.ts';
import type { ChunkLayout } from './learned-chunk.ts';
import { MetadataPacks } from './metadata-packs.ts';
import type { Unsettled } from './settling.ts';
import { StoredFile } from './stored-file.ts';

const METADATA_VERSION = 1;
const SNAPSHOT_VERSION = 1;
const HEADER_BYTES = 16;
const ENTRY_BYTES = 8;

export interface StoredMetadata {
  readonly index: FileIndex;
  /** By chunk: row group times columns plus column. */
  readonly layouts: ReadonlyMap<number, ChunkLayout>;
}

export interface StoredObject extends ObjectMeta {
  /** Undefined where they were not known. */
  readonly rows?: number | undefined;
}

export interface StoredSnapshot {
  readonly objects: readonly StoredObject[];
  readonly createdAtMs: number;
  /** When a listing last found exactly these objects. */
  readonly confirmedAtMs: number;
  /** What a later listing lacked of them, and since when. */
  readonly unsettled: Unsettled;
}

export class TableDisk {
  readonly #cache: DiskCache;
  readonly #name: string;
  readonly #source: string;
  readonly #place: string;
  readonly #keyHash: string;
  readonly #packs: MetadataPacks;
  /** Asked for several times while a file is opened, and each a hash. */
  readonly #known = new WeakMap<ObjectMeta, KnownObject>();
  /** Whose schema the files that are read next mostly share. */
  #like: FileIndex | undefined = undefined;
  /** Names of metadata files that the last snapshot needs. */
  #named = new Set<string>();
  /** One after another, so that the last one stays. Never rejects. */
  #settled: Promise<void> = Promise.resolve();

  /** `place` names the storage that the table's keys are of. */
  constructor(cache: DiskCache, table: string, source: string, place: string, keyColumns: readonly string[]) {
    this.#cache = cache;
    this.#name = `table-${hashOf([table])}`;
    this.#source = source;
    this.#place = place;
    this.#keyHash = hashOf(keyColumns);
    this.#packs = new MetadataPacks(cache.files, hashOf([table]));
  }

  file(object: ObjectMeta): StoredFile {
    return new StoredFile(this.#knownOf(object).identity, this.#cache.blocks);
  }

  metadata(object: ObjectMeta): StoredMetadata | undefined {
    const name = this.#metadataName(object);
    const bytes = this.#packs.read(name) ?? this.#cache.files.read(name);
    if (bytes === undefined) return undefined;
    try {
      const metadata = decodeMetadata(bytes, this.#like);
      this.#like = metadata.index;
      return metadata.index.fileLength === object.sizeBytes ? metadata : undefined;
    } catch (thrown) {
      if (thrown instanceof ServiceError && thrown.kind === 'corrupt') return undefined;
      throw thrown;
    }
  }

  /** Never rejects. Resolves at once while few files wait to be written, so that syncing them holds up no refresh. */
  async keepMetadata(object: ObjectMeta, metadata: StoredMetadata): Promise<void> {
    await this.#packs.keep(this.#metadataName(object), encodeMetadata(metadata));
  }

  /** Names of files that other tables must leave, this table's own snapshot included. */
  named(): readonly string[] {
    return [this.#name, `${this.#name}-confirmed`, ...this.#packs.names(), ...this.#named];
  }

  /** The snapshot that this table last had, if it was of the same source. */
  snapshot(): StoredSnapshot | undefined {
    const stored = parsed(this.#cache.snapshots.read(this.#name));
    if (!isSnapshot(stored) || stored.source !== this.#source) return undefined;
    const confirmed = parsed(this.#cache.snapshots.read(`${this.#name}-confirmed`));
    const { objects, createdAtMs, id } = stored;
    const isConfirmed = isConfirmation(confirmed) && confirmed.id === id;
    this.#named = new Set(objects.map((object) => this.#metadataName(object)));
    const last = isConfirmed ? confirmed : { atMs: createdAtMs, settling: undefined, held: undefined };
    const unsettled = { settling: last.settling ?? [], held: last.held };
    return { objects, createdAtMs, confirmedAtMs: last.atMs, unsettled };
  }

  /** Keeps the snapshot and forgets the metadata of files that only the one before had. */
  keepSnapshot(id: string, objects: readonly StoredObject[], createdAtMs: number): void {
    this.#settled = this.#settled.then(() => this.#keepSnapshot(id, objects, createdAtMs));
  }

  /** A small file, since the list of objects may be long and is the same. */
  confirm(id: string, atMs: number, unsettled: Unsettled): void {
    this.#packs.letGo();
    const settling = unsettled.settling.map(({ partition, sinceMs }) => ({ partition, sinceMs }));
    const held = unsettled.held && { sinceMs: unsettled.held.sinceMs };
    const bytes = Buffer.from(JSON.stringify({ id, atMs, settling, held }));
    this.#settled = this.#settled.then(() => this.#cache.snapshots.write(`${this.#name}-confirmed`, bytes));
  }

  /** Resolves when what was kept so far is on disk or was given up. */
  settled(): Promise<void> {
    return this.#settled;
  }

  async #keepSnapshot(id: string, objects: readonly StoredObject[], createdAtMs: number): Promise<void> {
    const plain = objects.map(({ key, sizeBytes, eTag, rows }) => ({ key, sizeBytes, eTag, rows }));
    const snapshot = { version: SNAPSHOT_VERSION, source: this.#source, id, createdAtMs, objects: plain };
    await this.#cache.snapshots.write(this.#name, Buffer.from(JSON.stringify(snapshot)));
    const before = this.#named;
    this.#named = new Set(objects.map((object) => this.#metadataName(object)));
    for (const name of before) if (!this.#named.has(name)) await this.#cache.files.remove(name);
    await this.#packs.settle(this.#named);
  }

  #metadataName(object: ObjectMeta): string {
    return this.#knownOf(object).metadataName;
  }

  #knownOf(object: ObjectMeta): KnownObject {
    let known = this.#known.get(object);
    if (known === undefined) {
      const identity = fileIdentity(this.#place, object.key, object.eTag, object.sizeBytes);
      known = { identity, metadataName: `${identityText(identity)}-${this.#keyHash}` };
      this.#known.set(object, known);
    }
    return known;
  }
}

interface KnownObject {
  readonly identity: FileIdentity;
  readonly metadataName: string;
}

function encodeMetadata({ index, layouts }: StoredMetadata): Uint8Array {
  const own = index.serialise();
  const header = Uint32Array.of(METADATA_VERSION, own.length, layouts.size, 0);
  const parts: Uint8Array[] = [new Uint8Array(header.buffer), own, new Uint8Array(padding(own.length))];
  for (const [chunk, layout] of layouts) {
    const bytes = encodeLayout(layout);
    parts.push(
      new Uint8Array(Uint32Array.of(chunk, bytes.length).buffer),
      bytes,
      new Uint8Array(padding(bytes.length)),
    );
  }
  return Buffer.concat(parts);
}

/**
 * Throws `corrupt` where the bytes are of another version or do not fit. They were read under a checksum, and are kept as
 * they lie; what lies in a pack is copied, so as not to keep all of the pack.
 */
function decodeMetadata(stored: Buffer, like: FileIndex | undefined): StoredMetadata {
  const isAlone = stored.byteOffset % 8 === 0 && stored.length * 2 > stored.buffer.byteLength;
  const bytes = isAlone ? stored : copyBytes(stored);
  const { buffer, byteOffset, length } = bytes;
  const fault = () => corrupt(`stored metadata do not fit in their ${length} bytes`);
  if (length < HEADER_BYTES) throw fault();
  const [version, indexBytes = 0, count = 0] = new Uint32Array(buffer, byteOffset, HEADER_BYTES / 4);
  let at = HEADER_BYTES + indexBytes;
  if (version !== METADATA_VERSION || at > length) throw fault();
  const index = FileIndex.load(bytes.subarray(HEADER_BYTES, at), { like, checksum: 'of storage' });
  const layouts = new Map<number, ChunkLayout>();
  for (let layout = 0; layout < count; layout++) {
    at += padding(at);
    if (at + ENTRY_BYTES > length) throw fault();
    const [chunk = 0, layoutBytes = 0] = new Uint32Array(buffer, byteOffset + at, 2);
    const { leaves } = index.schema;
    const leaf = leaves[chunk % leaves.length];
    const rowGroup = Math.trunc(chunk / leaves.length);
    at += ENTRY_BYTES;
    if (leaf === undefined || rowGroup >= index.rowGroups || at + layoutBytes > length) throw fault();
    layouts.set(chunk, decodeLayout(bytes.subarray(at, at + layoutBytes), leaf, index.rowGroupRows(rowGroup)));
    at += layoutBytes;
  }
  return { index, layouts };
}

function padding(length: number): number {
  return (8 - (length % 8)) % 8;
}

interface PlainSnapshot {
  readonly source: string;
  readonly id: string;
  readonly createdAtMs: number;
  readonly objects: readonly StoredObject[];
}

interface PlainConfirmation extends Partial<Unsettled> {
  readonly id: string;
  readonly atMs: number;
}

/** The checksum vouches for what stands in it; only the version is to be looked at. */
function isSnapshot(stored: unknown): stored is PlainSnapshot {
  return (stored as { readonly version?: unknown } | undefined)?.version === SNAPSHOT_VERSION;
}

function isConfirmation(stored: unknown): stored is PlainConfirmation {
  return typeof (stored as { readonly atMs?: unknown } | undefined)?.atMs === 'number';
}

function parsed(bytes: Buffer | undefined): unknown {
  return bytes === undefined ? undefined : JSON.parse(bytes.toString());
}

function hashOf(parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16);
}
