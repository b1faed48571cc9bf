/** `pointlake lookup`: lookups with no server, one line of JSON a key, in the order given. */

import { Command } from 'commander';
import { asServiceError, ServiceError } from '../core/index.ts';
import { type LookupItem, Receipt } from '../shard/index.ts';
import { type Key, parseKeyText, type TableKey } from '../table/index.ts';
import { type OneTable, withConfiguredTable, withOneTable, writeOut } from './one-table.ts';
import { asUsage, collectNames, UsageError } from './usage.ts';

const ROWS_A_KEY_MAX = 10_000;

interface LookupOptions {
  readonly key?: readonly string[];
  readonly config?: string;
  readonly by?: string;
  readonly columns?: readonly string[];
  readonly all?: boolean;
  readonly explain?: boolean;
}

export function lookupCommand(): Command {
  return new Command('lookup')
    .description('Look keys up in a file or folder and print one line of JSON for each.')
    .argument('<source>', 'a path, glob, folder or s3:// URI; with --config the name of a table')
    .argument('<keys...>', 'key values; the parts of a composite key are percent-encoded and joined by /')
    .option('--key <names>', 'the key column, or columns as a,b', collectNames)
    .option('--config <path>', 'a pointlake.yaml, whose table is looked up in as it is defined there')
    .option('--by <name>', "by a named key of the configuration's table")
    .option('--columns <names>', 'only these columns, as a,b or by repeating the option', collectNames)
    .option('--all', 'every row of a key, not only the first')
    .option('--explain', 'then one more line: what was ruled out, read and fetched, from where, and how long it took')
    .addHelpText(
      'after',
      '\nExamples:\n  pointlake lookup data/users.parquet --key id --columns name,age 42 43\n  pointlake lookup users --config pointlake.yaml --by email ada@example.com',
    )
    .action((source: string, keys: readonly string[], options: LookupOptions) => runLookup(source, keys, options));
}

function runLookup(source: string, texts: readonly string[], options: LookupOptions): Promise<void> {
  return withTable(source, options, async ({ node, table, snapshot }) => {
    const by = options.by === undefined ? snapshot.primaryKey : snapshot.key(options.by);
    const { json, defaultColumns } = snapshot.definition;
    const projection = asUsage(() => snapshot.projection(options.columns ?? defaultColumns, json, by));
    const keys = texts.map((text) => parsedKey(by, text));
    const matches = options.all === true ? 'all' : 'first';
    const signal = new AbortController().signal;
    const receipt = options.explain === true ? new Receipt() : undefined;
    receipt?.begin(snapshot);
    const wanted = { matches, limit: ROWS_A_KEY_MAX } as const;
    const { items } = await node.engine.lookup(snapshot, keys, projection, wanted, signal, receipt);
    const price = (gets: number, bytes: number) => table.source.account.priceUsd(gets, 0, bytes);
    const explain = receipt?.toObject(price);
    for (const [i, item] of items.entries()) await writeOut(`${lineOf(texts[i] ?? '', item)}\n`);
    if (explain !== undefined) await writeOut(`${JSON.stringify({ explain })}\n`);
    if (items.some((item) => item.status === 'error' || item.status === 'not_covered')) process.exitCode = 1;
  });
}

function withTable(
  source: string,
  { key, config, by }: LookupOptions,
  use: (opened: OneTable) => Promise<void>,
): Promise<void> {
  if (config !== undefined && key !== undefined) {
    throw new UsageError('a configuration says itself what the keys of its tables are; use --by NAME for a named one');
  }
  if (config !== undefined) return withConfiguredTable(config, source, use);
  if (by !== undefined) throw new UsageError('--by needs --config: named keys are those of a configuration');
  if (key === undefined)
    throw new UsageError('say by which column: --key NAME, or --config PATH with the name of a table');
  return withOneTable(source, key, use);
}

/** A key that is none becomes its own answer and spoils no other. */
function parsedKey({ columns, leaves }: TableKey, text: string): Key | ServiceError {
  try {
    const parts = leaves.length === 1 ? [text] : text.split('/').map(decodeURIComponent);
    if (parts.length !== leaves.length) {
      const names = columns.map((column) => column.name).join('/');
      throw new ServiceError('invalid', 'bad_key', `a key has ${leaves.length} parts: ${names}`);
    }
    return leaves.map((leaf, i) => parseKeyText(leaf, parts[i] ?? ''));
  } catch (thrown) {
    return asServiceError(thrown);
  }
}

function lineOf(text: string, item: LookupItem): string {
  const key = JSON.stringify(text);
  switch (item.status) {
    case 'found':
      return 'row' in item
        ? `{"key":${key},"status":"found","row":${item.row}}`
        : `{"key":${key},"status":"found","rows":[${item.rows.join(',')}],"truncated":${item.truncated}}`;
    case 'not_found':
    case 'timeout':
      return `{"key":${key},"status":"${item.status}"}`;
    default:
      return `{"key":${key},"status":"${item.status}","error":${JSON.stringify(item.error)}}`;
  }
}
