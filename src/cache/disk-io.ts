/** The system calls of the disk tier that lookups meet, in one place, so that tests can make them slow or fail. */

import { read, readSync, write } from 'node:fs';

export interface DiskIo {
  /** Fills the first `length` bytes of the buffer or reads to the end of the file; returns how many came. */
  readSync(fd: number, buffer: Buffer, position: number, length: number): number;
  /** The same for all of the buffer. */
  read(fd: number, buffer: Buffer, position: number): Promise<number>;
  /** Writes all of it or rejects. */
  write(fd: number, bytes: Buffer, position: number): Promise<void>;
}

export const systemDiskIo: DiskIo = {
  readSync: (fd, buffer, position, length) => readSync(fd, buffer, 0, length, position),
  read: (fd, buffer, position) =>
    new Promise((resolve, reject) => {
      read(fd, buffer, 0, buffer.length, position, (error, bytes) => (error ? reject(error) : resolve(bytes)));
    }),
  write: (fd, bytes, position) =>
    new Promise((resolve, reject) => {
      write(fd, bytes, 0, bytes.length, position, (error, written) => {
        if (error) reject(error);
        // What is cut short is a disk that is about to be full.
        else if (written < bytes.length) reject(new Error(`only ${written} of ${bytes.length} bytes were written`));
        else resolve();
      });
    }),
};
