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

const FILE_MAGIC = 0x4d44_4c50;
const FILE_VERSION = 1;
const HEADER_BYTES = 16;
/** Files written together; whoever writes more waits for its turn. */
const WRITERS_MAX = 8;
const NAME_FORM = /^[a-z0-9-]{1,128}$/;

export class DiskFiles {
  readonly #folder: DiskFolder;
  readonly #path: string;
  readonly #bytesMax: number;
  readonly #onFault: (what: string, thrown: unknown) => void;
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
  ) {
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
      const { bytes, checksum } = readCheckedFile(join(this.#path, name), HEADER_BYTES, HEADER_BYTES + this.#bytesMax);
      const payload = bytes.subarray(HEADER_BYTES);
      const isWhole =
        bytes.length >= HEADER_BYTES &&
        bytes.readUInt32LE(0) === FILE_MAGIC &&
        bytes.readUInt32LE(4) === FILE_VERSION &&
        bytes.readUInt32LE(12) === payload.length &&
        bytes.readUInt32LE(8) === checksum;
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
    const header = Buffer.alloc(HEADER_BYTES);
    for (const [at, word] of [FILE_MAGIC, FILE_VERSION, crc32(payload), payload.length].entries()) {
      header.writeUInt32LE(word, 4 * at);
    }
    try {
      const file = await open(aside, 'wx');
      try {
        await file.writev([header, payload]);
        await file.sync();
        const { size } = await file.stat();
        if (size !== HEADER_BYTES + payload.length) throw new Error(`only ${size} bytes were written`);
      } finally {
        await file.close();
      }
      await rename(aside, join(this.#path, name));
      this.#count(name, HEADER_BYTES + payload.length);
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
