/** `pointlake scan`: a plain full read through the decoders that serve lookups, as NDJSON. */

import { Command, InvalidArgumentError } from 'commander';
import type { Stretch } from '../shard/index.ts';
import { scan } from '../shard/index.ts';
import {
  type BlockWriter,
  castFaultIn,
  folderValue,
  type Projection,
  type SnapshotReadableFile,
} from '../table/index.ts';
import { withOneTable, writeOut } from './one-table.ts';
import { rowsThatMatch, ScanPredicate } from './predicate.ts';
import { asUsage, collectNames } from './usage.ts';

/** Rows joined before they are written: large writes are cheaper than many. */
const ROWS_A_WRITE = 512;

interface ScanOptions {
  readonly columns?: readonly string[];
  readonly where?: readonly string[];
  readonly limit?: number;
}

export function scanCommand(): Command {
  return new Command('scan')
    .description('Read a file or folder from end to end and print its rows as NDJSON.')
    .argument('<uri>', 'a path, glob, folder or s3:// URI')
    .option('--columns <names>', 'only these columns, as a,b or by repeating the option', collectNames)
    .option(
      '--where <predicate>',
      "only rows for which it holds, such as 'age>=5', or a predicate as JSON; repeated: all must hold",
      append,
    )
    .option('--limit <n>', 'stop after so many rows', wholeNumber)
    .addHelpText(
      'after',
      "\nExample:\n  pointlake scan data/users.parquet --columns id,name --where 'age>=30' --limit 10",
    )
    .action((uri: string, options: ScanOptions) => runScan(uri, options));
}

function runScan(uri: string, options: ScanOptions): Promise<void> {
  return withOneTable(uri, [], async ({ node, snapshot }) => {
    const projection = asUsage(() => snapshot.projection(options.columns));
    const predicate = asUsage(() => new ScanPredicate(snapshot, options.where ?? []));
    const columns = [...projection.columns, ...predicate.columns];
    let left = options.limit ?? Number.POSITIVE_INFINITY;
    if (left === 0) return;
    const wanted = (file: SnapshotReadableFile) => predicate.mayHoldIn(file);
    for await (const stretch of scan(node.loader, snapshot, columns, new AbortController().signal, wanted)) {
      try {
        left -= await printStretch(stretch, projection, predicate, left);
      } catch (thrown) {
        throw castFaultIn(thrown, stretch.file.file.object.key, stretch.rowGroup);
      }
      if (left <= 0) return;
    }
  });
}

/** Prints the stretch's matching rows up to the limit; returns how many. */
async function printStretch(
  stretch: Stretch,
  projection: Projection,
  predicate: ScanPredicate,
  limit: number,
): Promise<number> {
  const writers = projection.writersFor(stretch.file.mapping);
  let printed = 0;
  let text = '';
  for (const row of rowsThatMatch(stretch, predicate, projection.columns.length)) {
    if (printed >= limit) break;
    text += `${rowText(stretch, projection, writers, row)}\n`;
    printed += 1;
    if (printed % ROWS_A_WRITE !== 0) continue;
    await writeOut(text);
    text = '';
  }
  if (text !== '') await writeOut(text);
  return printed;
}

export function rowText(
  stretch: Stretch,
  { fragments, columns, nested, closing, writers: ofFolders }: Projection,
  writers: readonly BlockWriter[],
  row: number,
): string {
  let json = '';
  for (const [i, writer] of writers.entries()) {
    const at = stretch.blocks[i];
    const leaves = stretch.nested[i];
    if (leaves !== undefined)
      json += fragments[i] + (nested[i]?.assemblyFor(stretch.file.mapping)?.json(leaves, row) ?? 'null');
    else if (at !== undefined) json += fragments[i] + writer(at.block, row - at.firstRow);
    else {
      const inFolder = folderValue(stretch.file, columns[i]);
      json += fragments[i] + ((inFolder && ofFolders[i]?.(inFolder, row)) ?? 'null');
    }
  }
  return json + closing;
}

function append(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}

function wholeNumber(text: string): number {
  if (!/^[0-9]{1,15}$/.test(text)) throw new InvalidArgumentError('expected a whole number such as 100');
  return Number(text);
}
