/** `pointlake lookup`: lookups with no server, one line of JSON a key, in the order given. */

import { Command } from 'commander';
import { asServiceError, ServiceError } from '../core/index.ts';
import { type LookupItem, Receipt } from '../shard/index.ts';
import { type Key, parseKeyText, type Snapshot } from '../table/index.ts';
import { withOneTable, writeOut } from './one-table.ts';
import { asUsage, collectNames } from './usage.ts';

const ROWS_A_KEY_MAX = 10_000;

interface LookupOptions {
  readonly key: readonly string[];
  readonly columns?: readonly string[];
  readonly all?: boolean;
  readonly explain?: boolean;
}

export function lookupCommand(): Command {
  return new Command('lookup')
    .description('Look keys up in a file or folder and print one line of JSON for each.')
    .argument('<uri>', 'a path, glob, folder or s3:// URI')
    .argument('<keys...>', 'key values; the parts of a composite key are percent-encoded and joined by /')
    .requiredOption('--key <names>', 'the key column, or columns as a,b', collectNames)
    .option('--columns <names>', 'only these columns, as a,b or by repeating the option', collectNames)
    .option('--all', 'every row of a key, not only the first')
    .option('--explain', 'then one more line: what was ruled out, read and fetched, from where, and how long it took')
    .addHelpText('after', '\nExample:\n  pointlake lookup data/users.parquet --key id --columns name,age 42 43')
    .action((uri: string, keys: readonly string[], options: LookupOptions) => runLookup(uri, keys, options));
}

function runLookup(uri: string, texts: readonly string[], options: LookupOptions): Promise<void> {
  return withOneTable(uri, options.key, async ({ node, table, snapshot }) => {
    const projection = asUsage(() => snapshot.projection(options.columns));
    const keys = texts.map((text) => parsedKey(snapshot, text));
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

/** A key that is none becomes its own answer and spoils no other. */
function parsedKey(snapshot: Snapshot, text: string): Key | ServiceError {
  try {
    const parts = snapshot.keyLeaves.length === 1 ? [text] : text.split('/').map(decodeURIComponent);
    if (parts.length !== snapshot.keyLeaves.length) {
      const names = snapshot.keyColumns.map((column) => column.name).join('/');
      throw new ServiceError('invalid', 'bad_key', `a key has ${snapshot.keyLeaves.length} parts: ${names}`);
    }
    return snapshot.keyLeaves.map((leaf, i) => parseKeyText(leaf, parts[i] ?? ''));
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
