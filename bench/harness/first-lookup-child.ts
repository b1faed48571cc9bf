/**
 * One process of the bench `first-lookup`: looks up one row of a file that it has never seen, and prints as a line of JSON what
 * came and how long it took. Where the process is to be warm, it looks up a row of another, small file before.
 *
 *     node first-lookup-child.ts '{"main", "path", "key", ...}'
 */

import { setTimeout as sleep } from 'node:timers/promises';
import type { PointlakeNode } from '../../src/main.ts';
import type { TableDefinition } from '../../src/table/index.ts';

export interface FirstLookup {
  /** The folder of the sources, or of what they were compiled to. */
  readonly code: string;
  readonly extension: 'ts' | 'js';
  readonly path: string;
  readonly key: string;
  /** A small file that is looked up in before; none where everything is to be cold. */
  readonly warmPath?: string | undefined;
  readonly warmKey?: string;
  /** Whether the key is looked up by itself first, so that its stages can be told apart. */
  readonly isStaged: boolean;
}

export interface FirstAnswer {
  readonly json: string | null;
  /** From asking for table and key to the row's text. */
  readonly ms: number;
  readonly stages: Readonly<Record<string, number>>;
  /** Of all threads, for the same. */
  readonly cpuMs: number;
  /** From the start of the process to the text. */
  readonly sinceStartMs: number;
  readonly inline: number;
  readonly pooled: number;
}

interface Code {
  readonly createNode: typeof import('../../src/main.ts').createNode;
  readonly tableDefinition: typeof import('../../src/table/index.ts').tableDefinition;
}

const MEMORY_BYTES = 2 ** 31;
/** A server is up for longer than this before it is asked: its threads have started. */
const UP_MS = 1000;
const STAGES = ['fetch', 'decode', 'encode'] as const;

async function run(asked: FirstLookup): Promise<FirstAnswer> {
  const code = await load(asked);
  const { warmPath, warmKey = '0' } = asked;
  if (warmPath !== undefined) await lookUp(code, warmPath, warmKey, asked.isStaged, UP_MS);
  return lookUp(code, asked.path, asked.key, asked.isStaged, warmPath === undefined ? 0 : UP_MS);
}

async function load({ code, extension }: FirstLookup): Promise<Code> {
  const [{ createNode }, { tableDefinition }] = await Promise.all([
    import(`${code}/main.${extension}`) as Promise<typeof import('../../src/main.ts')>,
    import(`${code}/table/index.${extension}`) as Promise<typeof import('../../src/table/index.ts')>,
  ]);
  return { createNode, tableDefinition };
}

async function lookUp(code: Code, path: string, key: string, isStaged: boolean, upMs: number): Promise<FirstAnswer> {
  const definition: TableDefinition = code.tableDefinition('rows', path, ['id']);
  const node = code.createNode({ s3: {}, cacheMemoryBytes: MEMORY_BYTES, tables: [definition] });
  // As a server does.
  node.start();
  if (upMs > 0) await sleep(upMs);
  try {
    return await timed(node, key, isStaged);
  } finally {
    await node.close();
  }
}

async function timed(node: PointlakeNode, key: string, isStaged: boolean): Promise<FirstAnswer> {
  const cpuBefore = process.cpuUsage();
  const startedMs = performance.now();
  const snapshot = await node.catalog.get('rows').refresh();
  const openedMs = performance.now();
  const { signal } = new AbortController();
  const row = (columns: readonly string[] | undefined) =>
    node.engine.row(snapshot, [BigInt(key)], snapshot.projection(columns), signal);
  if (isStaged) await row(['id']);
  const foundMs = performance.now();
  const before = sums(node);
  const { json } = await row(undefined);
  const endedMs = performance.now();
  const after = sums(node);
  const { user, system } = process.cpuUsage(cpuBefore);
  const ofValues = STAGES.map((stage, i) => [`values: ${stage}`, (after[i] ?? 0) - (before[i] ?? 0)] as const);
  const stages = {
    'listing, footer': openedMs - startedMs,
    'key page: read, decode, search': foundMs - openedMs,
    ...Object.fromEntries(ofValues),
  };
  const { inline, pooled } = node.pool.stats;
  const cpuMs = (user + system) / 1000;
  return { json, ms: endedMs - startedMs, stages, cpuMs, sinceStartMs: endedMs, inline, pooled };
}

function sums(node: PointlakeNode): readonly number[] {
  return STAGES.map((stage) => node.engine.stages.histograms[stage].sumMs);
}

if (import.meta.main) {
  const answer = await run(JSON.parse(process.argv[2] ?? '') as FirstLookup);
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
