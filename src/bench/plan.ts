/** What a load is: plain data, as it goes to the threads that make it. */

import { type Clock, systemClock } from '../core/index.ts';
import type { Distribution, KeySpace } from './key-stream.ts';

/** Where the requests go over HTTP. */
export type HttpTarget =
  /** A table of a Pointlake server, by `http://host:port/v1/tables/NAME`. */
  | {
      readonly kind: 'table';
      readonly url: string;
      readonly headers: Readonly<Record<string, string>>;
      readonly columns: readonly string[] | undefined;
      /** Bare values of this column instead of rows. */
      readonly value: string | undefined;
    }
  /** Any server: `{key}` in the URL or body stands for the key, `{keys}` in the body for a JSON array of them. */
  | {
      readonly kind: 'template';
      readonly url: string;
      readonly headers: Readonly<Record<string, string>>;
      readonly body: string | undefined;
    };

export interface LoadPlan {
  readonly keys: KeySpace;
  readonly distribution: Distribution;
  /** Of the keys, those that should not be found. */
  readonly absentShare: number;
  /** Keys a request; 0: one key, asked for by itself. */
  readonly batch: number;
  /** Requests at the same time, of all threads together. */
  readonly connections: number;
  readonly threads: number;
  /** Requests a second of all threads together, sent whether answers come or not; undefined: one after the other. */
  readonly rate: number | undefined;
  readonly warmupMs: number;
  readonly durationMs: number;
  /** Of a point in the report's plots over time. */
  readonly intervalMs: number;
  /** After which a request is given up. */
  readonly timeoutMs: number;
  readonly seed: number;
}

/** Time that only goes forward, in fractions of a millisecond, which latencies are taken by. */
export const monotonicClock: Clock = {
  nowMs: () => performance.now(),
  sleep: systemClock.sleep,
};
