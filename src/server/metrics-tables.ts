/** What tables count: their snapshots, their refreshes, and what their storage was asked for and costs. */

import type { Snapshot, Table } from '../table/index.ts';
import type { ServerContext } from './context.ts';
import { indexFamilies } from './metrics-indexes.ts';
import { labels, type MetricFamily, type Samples } from './metrics-text.ts';

type AddOf = (samples: Samples, labelText: string, table: Table) => void;

export function tableFamilies({ catalog, clock, indexings }: ServerContext): readonly MetricFamily[] {
  const labelTexts = new WeakMap<Table, string>();
  const labelTextOf = (table: Table) => {
    const known = labelTexts.get(table) ?? labels({ table: table.name });
    labelTexts.set(table, known);
    return known;
  };
  const family = (name: string, type: MetricFamily['type'], help: string, add: AddOf): MetricFamily => ({
    name,
    type,
    help,
    collect: (samples) => {
      for (const table of catalog.tables()) add(samples, labelTextOf(table), table);
    },
  });
  const ofSnapshot = (name: string, help: string, value: (snapshot: Snapshot, table: Table) => number) =>
    family(name, 'gauge', help, (samples, labelText, table) => {
      if (table.snapshot !== undefined) samples.add(labelText, value(table.snapshot, table));
    });
  const counter = (name: string, help: string, value: (table: Table) => number) =>
    family(name, 'counter', help, (samples, labelText, table) => samples.add(labelText, value(table)));
  const unreadable = unreadableFiles();
  return [
    family('pointlake_table_serving', 'gauge', '1 where the table has a snapshot.', (samples, labelText, table) =>
      samples.add(labelText, table.snapshot === undefined ? 0 : 1),
    ),
    family('pointlake_table_failing', 'gauge', '1 while the last refresh failed.', (samples, labelText, table) =>
      samples.add(labelText, table.error === undefined ? 0 : 1),
    ),
    ofSnapshot(
      'pointlake_snapshot_age_seconds',
      'Since a listing last confirmed the snapshot.',
      ({ confirmedAtMs }) => {
        return Math.max(0, (clock.nowMs() - confirmedAtMs) / 1000);
      },
    ),
    ofSnapshot('pointlake_snapshot_stale', '1 where it is from disk and no listing has confirmed it.', (_, table) =>
      table.isRestored ? 1 : 0,
    ),
    ofSnapshot('pointlake_snapshot_files', 'Files of the snapshot.', ({ files }) => files.length),
    ofSnapshot('pointlake_snapshot_unreadable_files', 'Files of the snapshot that cannot be read.', unreadable),
    ofSnapshot('pointlake_snapshot_rows', 'Rows of the files that can be read.', ({ rows }) => rows),
    family('pointlake_refreshes_total', 'counter', 'Refreshes that ended, by outcome.', (samples, labelText, table) => {
      samples.add(`${labelText},outcome="ok"`, table.refreshes.succeeded);
      samples.add(`${labelText},outcome="failed"`, table.refreshes.failed);
    }),
    family(
      'pointlake_table_held',
      'gauge',
      '1 while so many rows are gone that the last snapshot is kept.',
      (samples, labelText, table) => samples.add(labelText, table.held === undefined ? 0 : 1),
    ),
    family(
      'pointlake_table_settling_partitions',
      'gauge',
      'Partitions that keep their old files for now.',
      (samples, labelText, table) => samples.add(labelText, table.settling.length),
    ),
    family(
      'pointlake_table_memory_bytes',
      'gauge',
      'Memory of the blocks and dictionaries of the table.',
      (samples, labelText, { quota }) => samples.add(labelText, quota.usedBytes),
    ),
    family(
      'pointlake_table_memory_quota_bytes',
      'gauge',
      'What they may take, where the table has a quota.',
      (samples, labelText, { quota }) => {
        if (quota.isLimited) samples.add(labelText, quota.limitBytes);
      },
    ),
    ...indexFamilies(indexings, family),
    counter('pointlake_storage_reads_total', 'Reads begun, files included, neighbouring ranges joined.', (table) => {
      return table.source.account.totals().reads;
    }),
    counter('pointlake_storage_read_bytes_total', 'Bytes that these reads were for.', (table) => {
      return table.source.account.totals().readBytes;
    }),
    counter('pointlake_storage_joined_ranges_total', 'Ranges that came with the read of another.', (table) => {
      return table.source.account.totals().joined;
    }),
    family(
      'pointlake_storage_requests_total',
      'counter',
      'HTTP requests sent, retries and hedges included.',
      addRequests,
    ),
    counter('pointlake_storage_received_bytes_total', 'Bytes that HTTP requests brought.', (table) => {
      return table.source.account.totals().bytes;
    }),
    counter(
      'pointlake_storage_cost_usd_total',
      'US dollars for requests and bytes, at the configured prices.',
      (table) => {
        return table.source.account.bill().usd;
      },
    ),
  ];
}

/** By what a request is charged as: `get` is GETs and HEADs, `free` goes to servers that charge nothing. */
function addRequests(samples: Samples, labelText: string, table: Table): void {
  const { gets, lists, free } = table.source.account.totals();
  samples.add(`${labelText},charged_as="get"`, gets);
  samples.add(`${labelText},charged_as="list"`, lists);
  if (free > 0) samples.add(`${labelText},charged_as="free"`, free);
}

/** Counted once a snapshot: there may be a hundred thousand files. */
function unreadableFiles(): (snapshot: Snapshot) => number {
  const known = new WeakMap<Snapshot, number>();
  return (snapshot) => {
    const count = known.get(snapshot) ?? snapshot.files.filter(({ kind }) => kind === 'broken').length;
    known.set(snapshot, count);
    return count;
  };
}
