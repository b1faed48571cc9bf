/** What the key indexes of each table are and do: of all its keys together. */

import type { IndexStatus, TableIndexing } from '../shard/index.ts';
import type { Table } from '../table/index.ts';
import type { MetricFamily, Samples } from './metrics-text.ts';

type AddOf = (samples: Samples, labelText: string, table: Table) => void;
type FamilyOf = (name: string, type: MetricFamily['type'], help: string, add: AddOf) => MetricFamily;

export function indexFamilies(
  indexings: (table: Table) => readonly TableIndexing[],
  family: FamilyOf,
): readonly MetricFamily[] {
  const sum = (table: Table, of: (status: IndexStatus) => number) =>
    indexings(table).reduce((all, { status }) => all + of(status), 0);
  /** In memory, and on disk. */
  const byPlace = (name: string, help: string, all: (status: IndexStatus) => readonly [number, number]) =>
    family(name, 'gauge', help, (samples, labelText, table) => {
      samples.add(
        `${labelText},place="memory"`,
        sum(table, (status) => all(status)[0]),
      );
      samples.add(
        `${labelText},place="disk"`,
        sum(table, (status) => all(status)[1]),
      );
    });
  const one = (name: string, type: MetricFamily['type'], help: string, of: (status: IndexStatus) => number) =>
    family(name, type, help, (samples, labelText, table) => samples.add(labelText, sum(table, of)));
  return [
    byPlace('pointlake_key_index_runs', 'Runs of key indexes, by where their pages are.', (status) => [
      status.runs - status.runsOnDisk,
      status.runsOnDisk,
    ]),
    byPlace('pointlake_key_index_bytes', 'Bytes of key indexes, cached pages aside.', (status) => [
      status.bytes,
      status.bytesOnDisk,
    ]),
    one('pointlake_key_index_keys', 'gauge', 'Keys of rows in the runs.', ({ entries }) => entries),
    one('pointlake_key_index_building', 'gauge', 'Key indexes that are being built.', ({ state }) =>
      state === 'building' ? 1 : 0,
    ),
    one(
      'pointlake_key_index_rows_to_build',
      'gauge',
      'Rows whose keys are still to be read for them.',
      ({ progress }) => (progress === undefined ? 0 : Math.max(0, progress.rows - progress.rowsDone)),
    ),
    one(
      'pointlake_key_index_page_reads_total',
      'counter',
      'Pages of key indexes that were read from disk.',
      ({ pagesRead }) => pagesRead,
    ),
    one(
      'pointlake_key_index_page_hits_total',
      'counter',
      'Pages of key indexes on disk that memory had.',
      ({ pagesHit }) => pagesHit,
    ),
  ];
}
