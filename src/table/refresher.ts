/**
 * Keeps a table's snapshot fresh: at its interval, and with patience while it has none.
 *
 * A table that could not be opened at start is tried again, at first soon and then less often, so that a server started
 * before its storage recovers by itself.
 */

import { type Clock, type Random, type ServiceError, systemRandom } from '../core/index.ts';
import type { Table } from './table.ts';

const RETRY_MS_FIRST = 1_000;
const RETRY_MS_MAX = 30_000;
/** Of the interval, so that many tables that were opened together do not list together. It never waits longer. */
const JITTER_FIRST = 0.5;
const JITTER = 0.1;

export interface RefreshEvents {
  /** After a refresh that changed what the table serves or brought it back. */
  onSnapshot(table: Table): void;
  onError(table: Table, error: ServiceError): void;
}

/** Runs until the signal aborts. Never rejects. */
export async function keepFresh(
  table: Table,
  clock: Clock,
  events: RefreshEvents,
  signal: AbortSignal,
  random: Random = systemRandom,
): Promise<void> {
  let retryMs = RETRY_MS_FIRST;
  let jitter = JITTER_FIRST;
  while (!signal.aborted) {
    const healthy = table.snapshot !== undefined && !table.isRestored;
    const pauseMs = healthy ? Math.round(table.refreshes.intervalMs * (1 - jitter * random())) : retryMs;
    if (healthy) jitter = JITTER;
    table.refreshes.nextAtMs = clock.nowMs() + pauseMs;
    retryMs = healthy ? RETRY_MS_FIRST : Math.min(RETRY_MS_MAX, retryMs * 2);
    try {
      await clock.sleep(pauseMs, signal);
      await refreshOnce(table, events, signal);
    } catch {
      // Only the signal ends the sleep or the refresh this way.
      return;
    }
  }
}

async function refreshOnce(table: Table, events: RefreshEvents, signal: AbortSignal): Promise<void> {
  const before = table.snapshot?.id;
  const hadError = table.error !== undefined;
  try {
    await table.refresh(signal);
    if (hadError || table.snapshot?.id !== before) events.onSnapshot(table);
  } catch (thrown) {
    signal.throwIfAborted();
    if (table.error !== undefined) events.onError(table, table.error);
    else throw thrown;
  }
}
