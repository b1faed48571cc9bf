/** What the node's parts count anyway, as metric families: memory, disk, storage, decoding, the event loop. */

import { STAGES } from '../shard/index.ts';
import type { DecodeState, DiskState, MemoryClass, ServerContext, StoresState } from './context.ts';
import type { LoopState } from './loops.ts';
import { labels, type MetricFamily } from './metrics-text.ts';

type Type = MetricFamily['type'];

const MEMORY_CLASSES: readonly (readonly [string, MemoryClass])[] = [
  ['metadata', 'metadata'],
  ['keys', 'keys'],
  ['blocks', 'blocks'],
  ['rows', 'rows'],
  ['in_flight', 'inFlight'],
  ['replies', 'replies'],
];

export function nodeFamilies(context: ServerContext): readonly MetricFamily[] {
  return [
    ...lookupFamilies(context),
    ...memoryFamilies(context),
    ...diskFamilies(context.disk),
    ...(context.stores === undefined ? [] : storeFamilies(context.stores)),
    ...(context.pool === undefined ? [] : decodeFamilies(context.pool)),
    ...processFamilies(context),
  ];
}

/** A family of one sample without labels. */
function one(name: string, type: Type, help: string, value: () => number): MetricFamily {
  return { name, type, help, collect: (samples) => samples.add('', value()) };
}

function lookupFamilies({ engine }: ServerContext): readonly MetricFamily[] {
  return [
    {
      name: 'pointlake_lookup_stage_duration_seconds',
      type: 'histogram',
      help: 'Of lookups that memory alone did not answer: time in each stage that they came to.',
      collect: (samples) => {
        for (const stage of STAGES) samples.addDurations(labels({ stage }), engine.stages.histograms[stage]);
      },
    },
    one('pointlake_lookups_reading', 'gauge', 'Lookups that read disk or storage now.', () => engine.waiting.running),
    one('pointlake_lookups_queued', 'gauge', 'Lookups that wait for their turn to read.', () => engine.waiting.queued),
  ];
}

function memoryFamilies({ tier, rows, loader }: ServerContext): readonly MetricFamily[] {
  return [
    {
      name: 'pointlake_memory_used_bytes',
      type: 'gauge',
      help: 'Memory charged to the budget, by class.',
      collect: (samples) => {
        for (const [name, kind] of MEMORY_CLASSES) samples.add(labels({ class: name }), tier.budget.usedBytes(kind));
      },
    },
    one('pointlake_memory_budget_bytes', 'gauge', 'What all classes together may take.', () => tier.budget.totalBytes),
    one('pointlake_in_flight_bytes', 'gauge', 'Pages being fetched and decoded.', () => loader.inFlight.usedBytes),
    one('pointlake_in_flight_limit_bytes', 'gauge', 'What pages being fetched and decoded may take.', () => {
      return loader.inFlight.capacityBytes;
    }),
    one('pointlake_blocks', 'gauge', 'Decoded blocks in memory.', () => tier.stats.entries),
    one('pointlake_blocks_admitted_total', 'counter', 'Blocks taken into memory.', () => tier.stats.admitted),
    one('pointlake_blocks_evicted_total', 'counter', 'Blocks evicted from memory.', () => tier.stats.evicted),
    one(
      'pointlake_learned_forgotten_total',
      'counter',
      'Times that layouts or places of blocks were forgotten.',
      () => {
        return tier.learned.evicted;
      },
    ),
    one('pointlake_row_cache_hits_total', 'counter', 'Rows answered as they were kept.', () => rows.stats.hits),
    one('pointlake_row_cache_misses_total', 'counter', 'Rows asked for and not kept.', () => rows.stats.misses),
    one(
      'pointlake_row_cache_crossed_total',
      'counter',
      'Hits of rows kept from another snapshot, proved right.',
      () => {
        return rows.stats.crossed;
      },
    ),
    one('pointlake_row_cache_confirmed_total', 'counter', 'Misses whose search found a row kept from another.', () => {
      return rows.stats.confirmed;
    }),
    one('pointlake_row_cache_admitted_total', 'counter', 'Rows taken in.', () => rows.stats.admitted),
    one('pointlake_row_cache_rows', 'gauge', 'Encoded rows kept.', () => rows.stats.entries),
    one('pointlake_row_cache_capacity_bytes', 'gauge', 'Memory of the encoded rows, allocated at the start.', () => {
      return rows.stats.capacityBytes;
    }),
  ];
}

/** Where there is no disk tier the families have no samples. */
function diskFamilies(disk: DiskState | undefined): readonly MetricFamily[] {
  const ofDisk = (
    name: string,
    type: Type,
    help: string,
    value: (state: DiskState['state'], pace: DiskState['pace']) => number,
  ) => ({
    name,
    type,
    help,
    collect: (samples: Parameters<MetricFamily['collect']>[0]) => {
      if (disk !== undefined) samples.add('', value(disk.state, disk.pace));
    },
  });
  return [
    ofDisk('pointlake_disk_used_bytes', 'gauge', 'Bytes of blocks on disk.', ({ bytes }) => bytes),
    ofDisk('pointlake_disk_budget_bytes', 'gauge', 'Bytes that blocks may take on disk.', (it) => it.budgetBytes),
    ofDisk('pointlake_disk_blocks', 'gauge', 'Blocks on disk.', ({ blocks }) => blocks),
    ofDisk('pointlake_disk_hits_total', 'counter', 'Blocks read from disk.', ({ hits }) => hits),
    ofDisk('pointlake_disk_reads_total', 'counter', 'Reads of neighbouring sectors.', ({ reads }) => reads),
    ofDisk('pointlake_disk_reads_in_threads_total', 'counter', 'Reads that threads did.', ({ aside }) => aside),
    ofDisk(
      'pointlake_disk_turn_waiting',
      'gauge',
      'Lookups that wait for a turn to read.',
      (_, { waiting }) => waiting,
    ),
    ofDisk('pointlake_disk_sectors_total', 'counter', 'Sectors of 4 KiB read.', ({ sectors }) => sectors),
    ofDisk('pointlake_disk_blocks_written_total', 'counter', 'Blocks written to disk.', ({ written }) => written),
    ofDisk('pointlake_disk_blocks_evicted_total', 'counter', 'Blocks evicted from disk.', ({ evicted }) => evicted),
    ofDisk('pointlake_disk_blocks_dropped_total', 'counter', 'Blocks offered and not taken.', ({ dropped }) => dropped),
    ofDisk(
      'pointlake_disk_blocks_invalid_total',
      'counter',
      'Blocks whose bytes were not what they should be.',
      (it) => {
        return it.invalid;
      },
    ),
    ofDisk('pointlake_disk_faults_total', 'counter', 'Reads, writes and files that the system refused.', (it) => {
      return it.faults;
    }),
  ];
}

type StoreStatus = ReturnType<StoresState['status']>[number];

function storeFamilies(stores: StoresState): readonly MetricFamily[] {
  const byStore = (name: string, help: string, value: (store: StoreStatus) => number): MetricFamily => ({
    name,
    type: 'counter',
    help,
    collect: (samples) => {
      for (const store of stores.status()) samples.add(labels({ store: store.name }), value(store));
    },
  });
  return [
    {
      name: 'pointlake_store_operations_total',
      type: 'counter',
      help: 'Operations asked of a store, retries not counted.',
      collect: (samples) => {
        for (const { name: store, gets, heads, lists } of stores.status()) {
          samples.add(labels({ store, operation: 'get' }), gets);
          samples.add(labels({ store, operation: 'head' }), heads);
          samples.add(labels({ store, operation: 'list' }), lists);
        }
      },
    },
    byStore('pointlake_store_errors_total', 'Operations that failed for good.', ({ errors }) => errors),
    byStore(
      'pointlake_store_http_requests_total',
      'HTTP requests sent to S3, retries included.',
      (it) => it.httpRequests,
    ),
    byStore('pointlake_store_retries_total', 'Requests that were tried again.', ({ retries }) => retries),
    byStore('pointlake_store_hedges_total', 'Second requests sent since the first was slow.', ({ hedges }) => hedges),
    byStore('pointlake_store_hedges_won_total', 'Second requests that answered first.', (it) => it.hedgesWon),
  ];
}

function decodeFamilies(pool: DecodeState): readonly MetricFamily[] {
  return [
    {
      name: 'pointlake_decode_duration_seconds',
      type: 'histogram',
      help: 'Decoding of pages, inline or from being handed to the threads until it was back.',
      collect: (samples) => {
        samples.addDurations('where="inline"', pool.times.inline);
        samples.addDurations('where="threads"', pool.times.threads);
      },
    },
    one('pointlake_decode_queue', 'gauge', 'Pages that wait for a decode thread.', () => pool.stats.waiting),
    one('pointlake_decode_threads', 'gauge', 'Decode threads that run.', () => pool.stats.threads),
    one('pointlake_decode_threads_max', 'gauge', 'Decode threads that may run.', () => pool.stats.threadsMax),
  ];
}

function processFamilies({ version, isDraining, loops }: ServerContext): readonly MetricFamily[] {
  const byLoop = (name: string, type: Type, help: string, value: (state: LoopState) => number): MetricFamily => ({
    name,
    type,
    help,
    collect: (samples) => {
      for (const [loop, state] of loops.states) samples.add(labels({ loop: `${loop}` }), value(state));
    },
  });
  return [
    {
      name: 'pointlake_event_loop_seconds_total',
      type: 'counter',
      help: 'Time of each event loop at work and waiting; the share at work is its utilisation.',
      collect: (samples) => {
        for (const [loop, { activeMs, idleMs }] of loops.states) {
          samples.add(labels({ loop: `${loop}`, state: 'active' }), activeMs / 1000);
          samples.add(labels({ loop: `${loop}`, state: 'idle' }), idleMs / 1000);
        }
      },
    },
    byLoop('pointlake_event_loop_turns_total', 'counter', 'Turns of each event loop.', ({ turns }) => turns),
    byLoop('pointlake_connections', 'gauge', 'Connections that each event loop has.', (it) => it.connections),
    one('pointlake_draining', 'gauge', '1 once the server was told to stop.', () => (isDraining() ? 1 : 0)),
    {
      name: 'pointlake_build_info',
      type: 'gauge',
      help: 'Always 1; the versions are its labels.',
      collect: (samples) => samples.add(labels({ version, node: process.versions.node }), 1),
    },
  ];
}
