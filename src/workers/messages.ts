/** What the main loop and the serving threads tell each other. Buffers in it are shared, not copied. */

import type { PlainError } from '../core/index.ts';
import type { LoopReport } from '../server/index.ts';
import type { ObjectMeta } from '../storage/index.ts';
import type { TableDefinition } from '../table/index.ts';

/** Files are told apart by their numbers, tables by their names. */
export type Told =
  | { readonly kind: 'slab'; readonly slab: number; readonly buffer: SharedArrayBuffer }
  | { readonly kind: 'noSlab'; readonly slab: number; readonly ticket: number }
  | { readonly kind: 'file'; readonly file: number; readonly object: ObjectMeta; readonly index: Uint8Array }
  | { readonly kind: 'noFile'; readonly file: number }
  | (OfChunk & { readonly kind: 'layout' | 'dictionary'; readonly bytes: Uint8Array | undefined })
  | {
      readonly kind: 'places';
      readonly file: number;
      readonly rowGroup: number;
      readonly words: Int32Array;
    }
  | ToldTable
  | { readonly kind: 'noTable'; readonly name: string; readonly version: number }
  | { readonly kind: 'confirmed'; readonly name: string; readonly confirmedAtMs: number }
  | { readonly kind: 'index'; readonly name: string; readonly index: ToldIndex }
  | { readonly kind: 'report'; readonly ticket: number }
  | { readonly kind: 'ping' | 'letGo' | 'close' };

interface OfChunk {
  readonly file: number;
  readonly rowGroup: number;
  readonly column: number;
}

export interface ToldTable {
  readonly kind: 'table';
  readonly version: number;
  readonly definition: TableDefinition;
  readonly files: readonly (number | { readonly object: ObjectMeta; readonly error: PlainError })[];
  readonly createdAtMs: number;
  readonly confirmedAtMs: number;
  readonly indexes: readonly ToldIndex[];
}

/** What there is of the index of one key, as `TableKey` counts them. */
export interface ToldIndex {
  readonly key: number;
  /** `elsewhere`: only the main loop can read it, or it is being built. */
  readonly runs: readonly Uint8Array[] | 'elsewhere';
}

/** From a serving thread. */
export type Answered =
  | { readonly kind: 'ready' }
  | { readonly kind: 'refused'; readonly error: PlainError }
  | { readonly kind: 'done'; readonly ticket: number }
  | { readonly kind: 'reported'; readonly ticket: number; readonly report: LoopReport }
  | { readonly kind: 'turned' };

/** What a serving thread is started with. */
export interface ServingData {
  /** Its number among the readers. */
  readonly reader: number;
  readonly epochs: Int32Array;
  /** How often what tables serve has changed; one word. */
  readonly version: Int32Array;
  readonly slabBytes: number;
  /** What its encoded rows may take. */
  readonly rowsBytes: number;
  readonly socketPath: string;
  /** Where threads leave for each other what they compiled. */
  readonly codeFolder: string;
  readonly listen: { readonly host: string; readonly port: number };
  readonly options: Readonly<Record<string, number>>;
}
