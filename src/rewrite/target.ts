/**
 * Where a copy goes: one `.parquet` file, or a folder of them, local or in S3. Nobody who lists it sees any of it before
 * `commit`, and nothing of it is left where that is never reached.
 */

import type { ByteSink } from './file-writer.ts';

export interface RewriteTarget {
  /** False where the target is a folder, of as many files as it takes. */
  readonly isOneFile: boolean;
  /** As people write it. */
  readonly path: string;
  /** Files that it has now, and that the copy takes the place of. */
  readonly replaces: number;
  /** Before anything is written. */
  begin(signal: AbortSignal): Promise<void>;
  /** `folder` is below the target and ends with a slash, or is empty. */
  nextFile(folder: string): Promise<ByteSink>;
  endFile(): Promise<void>;
  /** The copy is whole and appears; what it replaces goes. */
  commit(): Promise<void>;
  abort(): Promise<void>;
  close(): Promise<void>;
}
