/**
 * Which snapshot a request is answered from: the current one unless its headers ask for another, or for a young one.
 *
 * `pointlake-as-of` pins one of the last few snapshots: nothing newer may come into the answer, so that a file which
 * changed meanwhile ends it. `pointlake-max-staleness-ms` bounds how long ago a listing confirmed the snapshot: a current
 * one that is older is confirmed first, and where that cannot be done the request fails rather than answer stale rows.
 */

import type { IncomingHttpHeaders } from 'node:http';
import { type Clock, ServiceError } from '../core/index.ts';
import { withFreshSnapshot } from '../shard/index.ts';
import type { Snapshot, Table } from '../table/index.ts';
import { badHeader } from './conditions.ts';

const AS_OF = 'pointlake-as-of';
const MAX_STALENESS = 'pointlake-max-staleness-ms';

/** Of the time that the request has, what a listing may take: the rest is for reading. */
const REVALIDATION_SHARE = 3 / 4;
/** The first may have begun before the request did. */
const REVALIDATIONS_MAX = 2;

/** The snapshot to answer from at once; undefined where it has to be confirmed first. */
export function snapshotNow(
  table: Pick<Table, 'current' | 'asOf'>,
  headers: IncomingHttpHeaders,
  clock: Clock,
): Snapshot | undefined {
  if (headers[AS_OF] === undefined && headers[MAX_STALENESS] === undefined) return table.current();
  const asOf = asOfOf(headers);
  if (asOf !== undefined) return table.asOf(asOf);
  const snapshot = table.current();
  // A snapshot that was confirmed in this very millisecond may miss what was written in it.
  return clock.nowMs() - snapshot.confirmedAtMs < maxStalenessOf(headers) ? snapshot : undefined;
}

/**
 * Runs a request that may have to wait on its snapshot, as `snapshotNow` gave it; once more on a fresh one where an object
 * changed meanwhile and the request did not pin one.
 */
export async function onSnapshot<T>(
  table: Table,
  pinned: Snapshot | undefined,
  { headers, clock, timeoutMs, signal }: RequestTime,
  request: (snapshot: Snapshot) => Promise<T>,
): Promise<T> {
  const asOf = asOfOf(headers);
  if (asOf !== undefined) return onOldSnapshot(table, asOf, request);
  const snapshot = pinned ?? (await confirmed(table, maxStalenessOf(headers), clock, timeoutMs, signal));
  return withFreshSnapshot(table, snapshot, signal, request);
}

export interface RequestTime {
  readonly headers: IncomingHttpHeaders;
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

async function onOldSnapshot<T>(table: Table, id: string, request: (snapshot: Snapshot) => Promise<T>): Promise<T> {
  try {
    return await request(table.asOf(id));
  } catch (thrown) {
    if (!(thrown instanceof ServiceError) || thrown.kind !== 'changed') throw thrown;
    const message = `what is asked of snapshot ${JSON.stringify(id)} of table ${table.name} is not cached, and its files are gone from storage; read the current snapshot, and all of it again`;
    throw new ServiceError('notFound', 'snapshot_gone', message, { table: table.name, snapshot: id }, thrown);
  }
}

/** The snapshot after a listing that is young enough. Throws `stale`, or the table's own error where it never had one. */
async function confirmed(
  table: Table,
  maxStalenessMs: number,
  clock: Clock,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Snapshot> {
  const arrivedAtMs = clock.nowMs();
  // Of what is settling or held another listing would tell nothing new.
  if (isUnsettled(table) && arrivedAtMs - (table.refreshes.lastAttemptAtMs ?? 0) < maxStalenessMs) {
    throw staleness(table, maxStalenessMs, clock, undefined);
  }
  const begun = table.refreshes.begun;
  const isYoung = (snapshot: Snapshot) =>
    arrivedAtMs - snapshot.confirmedAtMs < maxStalenessMs ||
    (table.refreshes.lastSucceeded > begun && snapshot.confirmedAtMs >= arrivedAtMs);
  const time = new AbortController();
  const until = AbortSignal.any([signal, time.signal]);
  clock.sleep(timeoutMs * REVALIDATION_SHARE, time.signal).then(
    () => time.abort(new Error('the listing took too long')),
    () => undefined,
  );
  try {
    for (let round = 0; round < REVALIDATIONS_MAX; round++) {
      const snapshot = await table.refresh(until, { isUrgent: true });
      if (isYoung(snapshot)) return snapshot;
      if (table.refreshes.lastSucceeded > begun) break;
    }
  } catch (thrown) {
    signal.throwIfAborted();
    throw staleness(table, maxStalenessMs, clock, thrown);
  } finally {
    time.abort(new Error('the listing is over'));
  }
  throw staleness(table, maxStalenessMs, clock, undefined);
}

function isUnsettled({ held, settling }: Table): boolean {
  return held !== undefined || settling.length > 0;
}

function staleness(table: Table, maxStalenessMs: number, clock: Clock, cause: unknown): ServiceError {
  const { confirmedAtMs } = table.current();
  const ageMs = Math.max(0, clock.nowMs() - confirmedAtMs);
  const why =
    cause instanceof Error ? cause.message : 'the listing lacks files of the snapshot, which it keeps for now';
  const message = `table ${table.name} was last confirmed ${ageMs} ms ago, and not more than ${maxStalenessMs} were allowed; it could not be confirmed now: ${why}`;
  const context = { table: table.name, age_ms: ageMs, max_staleness_ms: maxStalenessMs };
  return new ServiceError('unavailable', 'stale', message, context, cause);
}

function asOfOf(headers: IncomingHttpHeaders): string | undefined {
  const id = headers[AS_OF];
  if (id === undefined) return undefined;
  if (headers[MAX_STALENESS] !== undefined) {
    throw badHeader(AS_OF, `the headers ${AS_OF} and ${MAX_STALENESS} ask for different things; send one of them`);
  }
  return String(id);
}

function maxStalenessOf(headers: IncomingHttpHeaders): number {
  const header = headers[MAX_STALENESS];
  if (header === undefined) return Number.POSITIVE_INFINITY;
  if (typeof header !== 'string' || !/^(0|[1-9][0-9]{0,11})$/.test(header)) {
    throw badHeader(
      MAX_STALENESS,
      `the header ${MAX_STALENESS} is a whole number of milliseconds from 0 on, such as 60000`,
    );
  }
  return Number(header);
}
