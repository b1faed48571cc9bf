/**
 * Small immutable files with a checksum: written aside, synced, renamed into place, so that a file is whole or missing.
 *
 *      0  u32  magic 0x4d444c50 ("PLDM")
 *      4  u32  version
 *      8  u32  CRC-32 of the payload
 *     12  u32  bytes of the payload
 *     16       the payload
 *
 * What cannot be read, is of another version or does not agree with its checksum is as good as missing. What cannot be
 * written is counted and forgotten: it will be made anew from storage.
 */

import { unlinkSync } from 'node:fs';
import { open, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { readCheckedFile } from './checked-file.ts';
import type { DiskFolder } from './disk-folder.ts';
import { type DiskIo, systemDiskIo } from './disk-io.ts';
import { ReadPace } from './disk-pace.ts';
import { checksumIn, FILE_HEADER_BYTES, fileHeader, PagedFile } from './paged-file.ts';

/** Files written together; whoever writes more waits for its turn. */
const WRITERS_MAX = 8;
const NAME_FORM = /^[a-z0-9-]{1,128}$/;

export class DiskFiles {
  readonly #folder: DiskFolder;
  readonly #path: string;
  readonly #bytesMax: number;
  readonly #onFault: (what: string, thrown: unknown) => void;
  readonly #io: DiskIo;
  /** How long reads of pages may hold up the event loop. */
  readonly #pace: ReadPace;
  /** Bytes by name of what is there. */
  readonly #sizes = new Map<string, number>();
  readonly #waiting: (() => void)[] = [];
  readonly #running = new Set<Promise<void>>();
  #bytes = 0;
  #writers = 0;
  #temporary = 0;

  /** Removes what earlier processes left half written. */
  constructor(
    folder: DiskFolder,
    subfolder: string,
    bytesMax: number,
    onFault: (what: string, thrown: unknown) => void,
    io: DiskIo = systemDiskIo,
    pace: ReadPace = new ReadPace(),
  ) {
    this.#io = io;
    this.#pace = pace;
    const { path, names } = folder.subfolder(subfolder);
    this.#folder = folder;
    this.#path = path;
    this.#bytesMax = bytesMax;
    this.#onFault = onFault;
    for (const name of names) {
      if (NAME_FORM.test(name)) this.#sizes.set(name, 0);
      else unlinkSync(join(path, name));
    }
  }

  /** Files that wait for their turn to be written. */
  get waiting(): number {
    return this.#waiting.length;
  }

  names(): readonly string[] {
    return [...this.#sizes.keys()];
  }

  /** The payload, at a multiple of 8 of its buffer; undefined where there is none that can be believed. */
  read(name: string): Buffer | undefined {
    if (!this.#sizes.has(name)) return undefined;
    try {
      const { bytes, checksum } = readCheckedFile(
        join(this.#path, name),
        FILE_HEADER_BYTES,
        FILE_HEADER_BYTES + this.#bytesMax,
      );
      const payload = bytes.subarray(FILE_HEADER_BYTES);
      const isWhole = checksumIn(bytes, payload.length) === checksum;
      if (isWhole) {
        this.#count(name, bytes.length);
        return payload;
      }
    } catch (thrown) {
      this.#onFault(`${name} cannot be read`, thrown);
    }
    this.#count(name, undefined);
    return undefined;
  }

  /** Never rejects. Resolves when the file is in place or was given up. */
  async write(name: string, payload: Uint8Array): Promise<void> {
    if (this.#writers >= WRITERS_MAX) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#writers += 1;
    const writing = this.#writeAside(name, payload).catch((thrown) =>
      this.#onFault(`${name} cannot be written`, thrown),
    );
    this.#running.add(writing);
    await writing;
    this.#running.delete(writing);
    this.#writers -= 1;
    this.#waiting.shift()?.();
  }

  /** Bytes that more files may take. */
  get roomBytes(): number {
    return this.#bytesMax - this.#bytes;
  }

  /** To be read by the page; undefined where there is none that can be. */
  open(name: string): PagedFile | undefined {
    if (!this.#sizes.has(name)) return undefined;
    try {
      const file = new PagedFile(join(this.#path, name), this.#io, this.#pace);
      this.#count(name, FILE_HEADER_BYTES + file.byteLength);
      return file;
    } catch (thrown) {
      this.fault(`${name} cannot be read`, thrown);
      this.#count(name, undefined);
      return undefined;
    }
  }

  /** Where a thread may write a file, by `writeInPieces`, that is then adopted or discarded. Throws where nothing may be written. */
  aside(): string {
    this.#folder.check();
    return join(this.#path, `.${this.#temporary++}`);
  }

  /** Gives the file its name. Rejects with what the system says. */
  async adopt(aside: string, name: string): Promise<PagedFile> {
    await rename(aside, join(this.#path, name));
    this.#count(name, FILE_HEADER_BYTES);
    const file = this.open(name);
    if (file === undefined) throw new Error(`${name} cannot be read again`);
    return file;
  }

  async discard(aside: string): Promise<void> {
    await unlink(aside).catch(() => undefined);
  }

  /** Counts and logs what the system refused. */
  fault(what: string, thrown: unknown): void {
    this.#onFault(what, thrown);
  }

  async remove(name: string): Promise<void> {
    if (!this.#sizes.has(name)) return;
    this.#count(name, undefined);
    await unlink(join(this.#path, name)).catch((thrown) => this.#onFault(`${name} cannot be removed`, thrown));
  }

  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  async #writeAside(name: string, payload: Uint8Array): Promise<void> {
    if (this.#bytes + payload.length > this.#bytesMax) throw new Error('the files take more than their share');
    this.#folder.check();
    const aside = join(this.#path, `.${this.#temporary++}`);
    const header = fileHeader(crc32(payload), payload.length);
    try {
      const file = await open(aside, 'wx');
      try {
        await file.writev([header, payload]);
        await file.sync();
        const { size } = await file.stat();
        if (size !== FILE_HEADER_BYTES + payload.length) throw new Error(`only ${size} bytes were written`);
      } finally {
        await file.close();
      }
      await rename(aside, join(this.#path, name));
      this.#count(name, FILE_HEADER_BYTES + payload.length);
    } catch (thrown) {
      await unlink(aside).catch(() => undefined);
      throw thrown;
    }
  }

  #count(name: string, bytes: number | undefined): void {
    this.#bytes += (bytes ?? 0) - (this.#sizes.get(name) ?? 0);
    if (bytes === undefined) this.#sizes.delete(name);
    else this.#sizes.set(name, bytes);
  }
}
