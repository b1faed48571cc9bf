/** What a peer in process is to the bench. */

import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Layout, Row } from './table.ts';

export interface PeerFiles {
  /** Folder of the four Parquet files. */
  readonly folder: string;
  readonly layout: Layout;
  readonly parquet: string;
  /** Where a peer that keeps a copy of its own has it. */
  readonly own: string;
  readonly rows: number;
}

export interface OpenPeer {
  /** The row in the form that the peer hands out, all 24 columns of it. */
  readonly ask: (id: number) => unknown;
  /** The same answer as a row. */
  readonly asRow: (answer: unknown) => Row | undefined;
  close(): unknown;
}

export interface Peer {
  readonly name: string;
  /** What its answers are. */
  readonly answers: string;
  /** Makes its copy of the data in `own`; a peer without answers from Parquet itself. */
  readonly convert?: (files: PeerFiles) => Promise<void>;
  /** Everything up to the first answer. */
  readonly open: (files: PeerFiles) => Promise<OpenPeer>;
}

export function bytesOnDisk(path: string): number {
  const found = statSync(path);
  if (!found.isDirectory()) return found.size;
  return readdirSync(path).reduce((sum, name) => sum + bytesOnDisk(join(path, name)), 0);
}
