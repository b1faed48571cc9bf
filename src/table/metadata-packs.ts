/**
 * The metadata of many files in few files on disk: opening and syncing a file each would take longer than S3 does.
 *
 * A pack is one immutable file of the metadata of up to 1,024 files that were opened one after another:
 *
 *     0   u32  version, bytes of the directory, entries, 0
 *     16       the directory, JSON: [[name, bytes], ...]
 *              each entry's bytes, from a multiple of 8 on
 *
 * Packs are read at the start and let go of once the table has its files. What no snapshot needs any more is dead weight:
 * a pack with nothing alive is removed, and those of which little is alive are written anew as one.
 */

import { createHash } from 'node:crypto';
import type { DiskFiles } from '../cache/index.ts';

const PACK_VERSION = 1;
const HEADER_BYTES = 16;
const ENTRIES_MAX = 1024;
const PACK_BYTES_MAX = 4 * 2 ** 20;
/** Fewer are files of their own, which tables over the same objects share. */
const ENTRIES_MIN = 16;
/** Packs that wait to be written; whoever has more waits. */
const WAITING_MAX = 4;
/** So few alive, and a pack counts as small; so many small ones are joined. */
const SMALL_ENTRIES = 256;
const SMALL_PACKS_MAX = 16;

export type PackFiles = Pick<DiskFiles, 'names' | 'read' | 'write' | 'remove'>;

export class MetadataPacks {
  readonly #files: PackFiles;
  readonly #prefix: string;
  /** By pack: the names of its entries; undefined until it was read. */
  readonly #packs = new Map<string, readonly string[] | undefined>();
  /** What was read at the start, until the table has its files. */
  #entries: Map<string, Buffer> | undefined;
  #pending = new Map<string, Uint8Array>();
  #pendingBytes = 0;
  readonly #writing = new Set<Promise<void>>();

  /** `table` is of lower-case letters and digits, its own among the tables that share the files. */
  constructor(files: PackFiles, table: string) {
    this.#files = files;
    this.#prefix = `pack-${table}-`;
    for (const name of files.names()) if (name.startsWith(this.#prefix)) this.#packs.set(name, undefined);
  }

  /** Of all packs, as files on disk. */
  names(): readonly string[] {
    return [...this.#packs.keys()];
  }

  /** What an earlier process kept under that name, at a multiple of 8 of its buffer. */
  read(name: string): Buffer | undefined {
    if (this.#packs.size === 0) return undefined;
    if (this.#entries === undefined) {
      this.#entries = new Map();
      for (const pack of this.names()) for (const [entry, bytes] of this.#open(pack)) this.#entries.set(entry, bytes);
    }
    return this.#entries.get(name);
  }

  /** Never rejects. Resolves at once while few packs wait to be written. */
  async keep(name: string, bytes: Uint8Array): Promise<void> {
    this.#pending.set(name, bytes);
    this.#pendingBytes += bytes.length;
    if (this.#pending.size >= ENTRIES_MAX || this.#pendingBytes >= PACK_BYTES_MAX) this.#writePending();
    if (this.#writing.size >= WAITING_MAX) await Promise.race(this.#writing);
  }

  /** Writes what is left, and drops what the snapshot with these names does not need. */
  async settle(alive: ReadonlySet<string>): Promise<void> {
    if (this.#pending.size >= ENTRIES_MIN) this.#writePending();
    else for (const [name, bytes] of this.#takePending()) await this.#files.write(name, bytes);
    await Promise.all(this.#writing);
    this.letGo();
    await this.#drop(alive);
  }

  /** Forgets what was read: the table has its files. */
  letGo(): void {
    this.#entries = undefined;
  }

  async #drop(alive: ReadonlySet<string>): Promise<void> {
    const isAlive = (name: string) => alive.has(name);
    const counts = this.names().map((pack) => {
      const entries = this.#packs.get(pack) ?? [...this.#open(pack).keys()];
      return { pack, entries: entries.length, alive: entries.filter(isAlive).length };
    });
    const small = counts.filter((count) => count.alive < SMALL_ENTRIES);
    const rewritten = counts.filter(
      (count) => count.alive * 2 < count.entries || (small.length > SMALL_PACKS_MAX && small.includes(count)),
    );
    for (const { pack } of rewritten) {
      for (const [name, bytes] of this.#open(pack)) if (isAlive(name)) await this.keep(name, bytes);
    }
    this.#writePending();
    await Promise.all(this.#writing);
    for (const { pack } of rewritten) {
      this.#packs.delete(pack);
      await this.#files.remove(pack);
    }
  }

  #takePending(): ReadonlyMap<string, Uint8Array> {
    const taken = this.#pending;
    this.#pending = new Map();
    this.#pendingBytes = 0;
    return taken;
  }

  #writePending(): void {
    const entries = this.#takePending();
    if (entries.size === 0) return;
    const names = [...entries.keys()];
    const pack = this.#prefix + createHash('sha256').update(names.join()).digest('hex').slice(0, 32);
    this.#packs.set(pack, names);
    const writing: Promise<void> = this.#files.write(pack, encodePack(entries)).then(() => {
      this.#writing.delete(writing);
    });
    this.#writing.add(writing);
  }

  /** Nothing of a pack that cannot be believed. */
  #open(pack: string): ReadonlyMap<string, Buffer> {
    const entries = decodePack(this.#files.read(pack));
    this.#packs.set(pack, [...entries.keys()]);
    return entries;
  }
}

function encodePack(entries: ReadonlyMap<string, Uint8Array>): Uint8Array {
  const directory = Buffer.from(JSON.stringify(Array.from(entries, ([name, bytes]) => [name, bytes.length])));
  const header = Uint32Array.of(PACK_VERSION, directory.length, entries.size, 0);
  const parts: Uint8Array[] = [new Uint8Array(header.buffer), directory, new Uint8Array(padding(directory.length))];
  for (const bytes of entries.values()) parts.push(bytes, new Uint8Array(padding(bytes.length)));
  return Buffer.concat(parts);
}

/** The checksum of the file vouches for what stands in it; what is of another version or does not fit is left out. */
function decodePack(bytes: Buffer | undefined): ReadonlyMap<string, Buffer> {
  const entries = new Map<string, Buffer>();
  if (bytes === undefined || bytes.length < HEADER_BYTES || bytes.readUInt32LE(0) !== PACK_VERSION) return entries;
  const directoryEnd = HEADER_BYTES + bytes.readUInt32LE(4);
  if (directoryEnd > bytes.length) return entries;
  let at = directoryEnd + padding(directoryEnd);
  const directory = JSON.parse(bytes.toString('utf8', HEADER_BYTES, directoryEnd)) as readonly (readonly [
    string,
    number,
  ])[];
  for (const [name, length] of directory) {
    if (at + length > bytes.length) break;
    entries.set(name, bytes.subarray(at, at + length));
    at += length + padding(length);
  }
  return entries;
}

function padding(length: number): number {
  return (8 - (length % 8)) % 8;
}
