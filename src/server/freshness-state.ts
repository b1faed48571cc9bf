/** How fresh a table is, for its description and for whoever refreshed it. */

import type { HeldTable, SettlingPartition, SnapshotChange, Table } from '../table/index.ts';

const DAY_MS = 86_400_000;
/** A table may have very many partitions. */
const SETTLING_SHOWN = 100;

/** What is waited for; nothing where nothing is. */
export function unsettledState({ held, settling, definition }: Table): object {
  return {
    ...(held === undefined ? {} : { held: heldState(held) }),
    ...(settling.length === 0
      ? {}
      : { settling: settling.slice(0, SETTLING_SHOWN).map(settlingState(definition.settleMs)) }),
  };
}

function heldState({ sinceMs, rowsBefore, rowsNow }: HeldTable): object {
  return {
    since: timeText(sinceMs),
    rows_before: rowsBefore,
    rows_now: rowsNow,
    detail: `a listing shows ${rowsNow} rows where ${rowsBefore} are served; if that is meant, POST .../refresh?force=true takes it`,
  };
}

function settlingState(settleMs: number): (partition: SettlingPartition) => object {
  return ({ partition, sinceMs, rowsBefore, rowsNow }) => ({
    partition,
    since: timeText(sinceMs),
    until: timeText(sinceMs + settleMs),
    rows_before: rowsBefore,
    rows_now: rowsNow,
  });
}

/** How refreshing goes, and what its LISTs cost at this interval. */
export function refreshState({ refreshes, source: { account } }: Table): object {
  const { intervalMs, lastAttemptAtMs, lastSuccessAtMs, nextAtMs, succeeded, failed, listsLast } = refreshes;
  const { lists } = account.totals();
  const listsADay = listsLast * (DAY_MS / intervalMs);
  return {
    interval_seconds: intervalMs / 1000,
    ...(lastAttemptAtMs === undefined ? {} : { last_attempt_at: timeText(lastAttemptAtMs) }),
    ...(lastSuccessAtMs === undefined ? {} : { last_success_at: timeText(lastSuccessAtMs) }),
    ...(nextAtMs === undefined ? {} : { next_at: timeText(nextAtMs) }),
    succeeded,
    failed,
    lists,
    lists_usd: account.priceUsd(0, lists, 0),
    lists_a_refresh: listsLast,
    lists_usd_a_day: account.priceUsd(0, listsADay, 0),
  };
}

export function changeState({ added, removed, replaced, rowsBefore, rowsNow }: SnapshotChange): object {
  return {
    files_added: added,
    files_removed: removed,
    files_replaced: replaced,
    rows_before: rowsBefore,
    rows_now: rowsNow,
  };
}

function timeText(ms: number): string {
  return new Date(ms).toISOString();
}
