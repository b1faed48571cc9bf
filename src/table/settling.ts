/**
 * What a listing that lacks rows is taken for: the truth, a partition that is being rewritten, or an accident.
 *
 * Writers that replace a folder delete its files first and write the new ones later; in between a listing shows less
 * than there is. So a partition that lost more than a share of its rows keeps its old files for a while, and a table
 * that did is held as it is until somebody says that the loss is meant. Rows are lost with the keys of their objects:
 * an object of the same key in another version is a change, and added objects make up for lost ones.
 */

import { ServiceError } from '../core/index.ts';
import { parseSourceUri } from '../storage/index.ts';
import type { TableDefinition } from './definition.ts';

export interface FileRows {
  readonly key: string;
  /** Undefined where they are not known, as of a file that cannot be read: it neither loses nor makes up for any. */
  readonly rows: number | undefined;
}

export interface ShrinkRule {
  /** The share of rows that may go without a question; 1 asks none. */
  readonly maxShrink: number;
  /** How long a partition keeps its old files. */
  readonly settleMs: number;
}

/** A partition that keeps its old files. */
export interface SettlingPartition {
  readonly partition: string;
  readonly sinceMs: number;
  readonly rowsBefore: number;
  readonly rowsNow: number;
}

export interface HeldTable {
  readonly sinceMs: number;
  readonly rowsBefore: number;
  readonly rowsNow: number;
}

/** What was waited for when the table was last looked at. */
export interface Unsettled {
  readonly settling: readonly Pick<SettlingPartition, 'partition' | 'sinceMs'>[];
  readonly held: Pick<HeldTable, 'sinceMs'> | undefined;
}

export const ALL_SETTLED: Unsettled = { settling: [], held: undefined };

export type Verdict =
  | { readonly kind: 'taken'; readonly settling: readonly SettlingPartition[] }
  | { readonly kind: 'held'; readonly held: HeldTable; readonly settling: readonly SettlingPartition[] };

export const TAKEN: Verdict = { kind: 'taken', settling: [] };

interface Tally {
  before: number;
  now: number;
  lost: number;
  gained: number;
}

/** What is not cached of a file that is kept but gone from storage: neither there nor absent. */
export function snapshotChanging(file: string, cause?: unknown): ServiceError {
  const message = `${file} is gone from storage and its table is settling or held; what is cached of it answers, this is not. Come back when its writer is done, or refresh with force=true if it is meant`;
  return new ServiceError('unavailable', 'snapshot_changing', message, { file }, cause);
}

/** `before` is what is served, `now` what the listing shows. */
export function judgeListing(
  before: readonly FileRows[],
  now: readonly FileRows[],
  partitionOf: (key: string) => string,
  { maxShrink, settleMs }: ShrinkRule,
  unsettled: Unsettled,
  nowMs: number,
): Verdict {
  const keys = new Set(now.map(({ key }) => key));
  if (before.every(({ key }) => keys.has(key))) return TAKEN;
  const partitions = tally(before, now, partitionOf);
  const since = new Map(unsettled.settling.map(({ partition, sinceMs }) => [partition, Math.min(sinceMs, nowMs)]));
  const settling: SettlingPartition[] = [];
  const total: Tally = { before: 0, now: 0, lost: 0, gained: 0 };
  for (const [partition, rows] of partitions) {
    const sinceMs = since.get(partition) ?? nowMs;
    const isShrunk = shrank(rows, maxShrink);
    const isWaitedFor = isShrunk && nowMs - sinceMs < settleMs;
    // What was waited for long enough is taken as it is, unless the whole table is in question.
    const isAccepted = isShrunk && since.has(partition) && !isWaitedFor && unsettled.held === undefined;
    if (isWaitedFor) settling.push({ partition, sinceMs, rowsBefore: rows.before, rowsNow: rows.now });
    total.before += rows.before;
    total.now += rows.now;
    total.gained += rows.gained;
    if (!isAccepted) total.lost += rows.lost;
  }
  if (!shrank(total, maxShrink)) return { kind: 'taken', settling };
  const sinceMs = Math.min(unsettled.held?.sinceMs ?? nowMs, nowMs);
  const waiting = settling.filter(({ partition }) => since.has(partition));
  return { kind: 'held', held: { sinceMs, rowsBefore: total.before, rowsNow: total.now }, settling: waiting };
}

function shrank({ before, lost, gained }: Tally, maxShrink: number): boolean {
  return lost - gained > before * maxShrink;
}

function tally(
  before: readonly FileRows[],
  now: readonly FileRows[],
  partitionOf: (key: string) => string,
): ReadonlyMap<string, Tally> {
  const partitions = new Map<string, Tally>();
  const of = (key: string): Tally => {
    const partition = partitionOf(key);
    const known = partitions.get(partition);
    if (known !== undefined) return known;
    const made = { before: 0, now: 0, lost: 0, gained: 0 };
    partitions.set(partition, made);
    return made;
  };
  const keysNow = new Set(now.map(({ key }) => key));
  const keysBefore = new Set<string>();
  for (const { key, rows = 0 } of before) {
    const partition = of(key);
    keysBefore.add(key);
    partition.before += rows;
    if (!keysNow.has(key)) partition.lost += rows;
  }
  for (const { key, rows = 0 } of now) {
    const partition = of(key);
    partition.now += rows;
    if (!keysBefore.has(key)) partition.gained += rows;
  }
  return partitions;
}

/**
 * The name of the partition that an object belongs to: its innermost folder `name=value` below the source, else the
 * folder that it lies in. Where the table chooses values of a column (`only`), all values of it are one partition, since
 * the next one takes the place of the last.
 */
export function partitionNamer({ source, only }: Pick<TableDefinition, 'source' | 'only'>): (key: string) => string {
  const parsed = parseSourceUri(source);
  const root = parsed.kind === 'object' ? `${parsed.key}/` : parsed.prefix;
  const chosen = new Set(only.map(({ name }) => name));
  const names = new Map<string, string>();
  return (key) => {
    const folder = key.startsWith(root) ? key.slice(root.length, key.lastIndexOf('/') + 1) : '';
    const known = names.get(folder);
    if (known !== undefined) return known;
    const made = partitionOfFolder(folder, chosen);
    names.set(folder, made);
    return made;
  };
}

function partitionOfFolder(folder: string, chosen: ReadonlySet<string>): string {
  const parts = folder.split('/').slice(0, -1);
  const innermost = parts.findLastIndex((part) => part.indexOf('=') > 0);
  const own = innermost < 0 ? parts : parts.slice(0, innermost + 1);
  const named = own.map((part) => {
    const name = part.slice(0, Math.max(0, part.indexOf('=')));
    return chosen.has(name) ? `${name}=*` : part;
  });
  return named.join('/');
}
