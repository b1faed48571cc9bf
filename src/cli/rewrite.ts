/** `pointlake rewrite`: a copy of a file or folder that looks up well. */

import { tmpdir } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import { formatBytes, parseByteSize, ServiceError, systemClock } from '../core/index.ts';
import {
  openTarget,
  planRewrite,
  type RewriteCodec,
  type RewriteEncoding,
  type RewritePlan,
  type RewriteSummary,
  type RewriteTarget,
  rewrite,
} from '../rewrite/index.ts';
import { defaultConfig } from './config.ts';
import { withOneTable, writeOut } from './one-table.ts';
import { rewriteProgress } from './rewrite-progress.ts';
import { asUsage, collectNames, UsageError } from './usage.ts';
import { VERSION } from './version.ts';

const MEMORY_BYTES_MIN = 64e6;
/** Of the memory given, what decoded blocks of the source may take; the writer has its own shares. */
const CACHE_SHARE = 1 / 4;

interface RewriteOptions {
  readonly key: readonly string[];
  readonly rowsPerPage: number;
  readonly rowsPerGroup: number;
  readonly codec: RewriteCodec;
  readonly encoding: RewriteEncoding;
  readonly dictionary?: readonly string[];
  readonly bloom?: readonly string[];
  readonly bloomFpp: number;
  readonly memory: number;
  readonly fileSize: number;
  readonly temporary: string;
  readonly force?: boolean;
  readonly dryRun?: boolean;
  readonly quiet?: boolean;
}

export function rewriteCommand(): Command {
  return new Command('rewrite')
    .description('Write a copy that looks up well: sorted by key, small pages, a page index.')
    .argument('<source>', 'a path, glob, folder or s3:// URI')
    .argument('<target>', 'a local path or s3:// URI: one file where it ends in .parquet, else a folder')
    .requiredOption('--key <names>', 'the columns to sort by, as a,b or by repeating the option', collectNames)
    .option('--rows-per-page <n>', 'rows of a page at most', atLeastOne, 2000)
    .option('--rows-per-group <n>', 'rows of a row group at most', atLeastOne, 1_000_000)
    .addOption(
      new Option('--codec <name>', 'how pages are compressed').choices(['zstd', 'snappy', 'none']).default('zstd'),
    )
    .addOption(
      new Option('--encoding <name>', 'plain, or for each page plain or delta, whichever takes less')
        .choices(['smallest', 'plain'])
        .default('smallest'),
    )
    .option('--dictionary <names>', 'columns that get a dictionary', collectNames)
    .option('--bloom <names>', 'columns that get a bloom filter', collectNames)
    .option('--bloom-fpp <share>', 'of absent values, the share that a bloom filter may let through', fpp, 0.01)
    .option('--memory <size>', 'what sorting and writing may take', byteSize, 512e6)
    .option('--file-size <size>', 'about how large the files of a folder become', byteSize, 1e9)
    .option('--temporary <folder>', 'where what does not fit in memory is kept meanwhile', tmpdir())
    .option('--force', 'replace a target that exists, if a rewrite made it')
    .option('--dry-run', 'tell what would be written, and write nothing')
    .option('--quiet', 'no progress on stderr')
    .addHelpText(
      'after',
      '\nExamples:\n  pointlake rewrite data/users.parquet data/users-by-id.parquet --key id\n  pointlake rewrite s3://lake/users/ s3://lake/users-by-id/ --key id --bloom email',
    )
    .action((source: string, target: string, options: RewriteOptions) => runRewrite(source, target, options));
}

async function runRewrite(uri: string, targetUri: string, options: RewriteOptions): Promise<void> {
  const { memory, key } = options;
  if (memory < MEMORY_BYTES_MIN) throw new UsageError(`--memory must be at least ${formatBytes(MEMORY_BYTES_MIN)}`);
  const { s3 } = defaultConfig();
  const target = await openTarget(targetUri, uri, options.force ?? false, s3).catch(asWrongUsage);
  const stop = new AbortController();
  const interrupt = () =>
    stop.abort(new ServiceError('unavailable', 'interrupted', 'interrupted; nothing was written'));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupt);
  try {
    await withOneTable(
      uri,
      key,
      async ({ node, snapshot }) => {
        const wanted = { uri, dictionaries: options.dictionary ?? [], bloomFilters: options.bloom ?? [] };
        const plan = asUsage(() => planRewrite(snapshot, target, wanted));
        if (options.dryRun === true) return writeOut(planText(plan, target, options));
        const progress = rewriteProgress(plan.rows, options.quiet === true ? undefined : process.stderr, systemClock);
        const summary = await rewrite(node.loader, snapshot, target, {
          ...options,
          ...wanted,
          memoryBytes: memory,
          fileBytes: options.fileSize,
          temporaryFolder: options.temporary,
          createdBy: `pointlake version ${VERSION}`,
          signal: stop.signal,
          onProgress: progress.report,
        }).finally(progress.end);
        await writeOut(textOf(summary, target.path));
      },
      { cacheMemoryBytes: memory * CACHE_SHARE },
    );
  } finally {
    await target.close();
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.removeListener(signal, interrupt);
  }
}

function planText(plan: RewritePlan, { path, isOneFile }: RewriteTarget, options: RewriteOptions): string {
  const { rows, sourceFiles, sourceBytes, folders, sortedBy, columns, replaces } = plan;
  const { rowsPerPage, rowsPerGroup, codec, encoding, dictionary = [], bloom = [], bloomFpp, fileSize } = options;
  const partitions = folders.filter((folder) => folder !== '');
  const files = isOneFile ? 'one file' : `files of about ${formatBytes(fileSize)}`;
  return [
    `${path}: ${rows} rows of ${columns} columns would be written, from ${sourceFiles} files, ${formatBytes(sourceBytes)}`,
    `  as ${files}${partitions.length > 0 ? ` in ${folders.length} partition folders (${partitions[0]}, ...)` : ''}`,
    sortedBy.length > 0 ? `  sorted by ${sortedBy.join(', ')}` : '  in their order: the key is in the names of folders',
    `  in pages of at most ${rowsPerPage} rows and row groups of at most ${rowsPerGroup}, ${codec}, encoding ${encoding}`,
    `  dictionaries: ${dictionary.join(', ') || 'none'}; bloom filters: ${bloom.length > 0 ? `${bloom.join(', ')}, which let ${bloomFpp} of absent values through` : 'none'}`,
    replaces > 0 ? `  in place of ${replaces} files that are there` : '  where nothing is yet',
    'nothing was written (--dry-run)',
    '',
  ].join('\n');
}

function textOf(summary: RewriteSummary, path: string): string {
  const { rows, files, bytes, sourceFiles, sourceBytes, runs, keyValuesKept } = summary;
  return [
    `${path}: ${rows} rows in ${files} files, ${formatBytes(bytes)}, from ${sourceFiles} files, ${formatBytes(sourceBytes)}`,
    runs === 0 ? 'sorted in memory' : `sorted in ${runs} runs on disk`,
    ...(keyValuesKept ? [] : ['no key-value metadata: the source has none, or its files differ in it']),
    '',
  ].join('\n');
}

function asWrongUsage(thrown: unknown): never {
  throw thrown instanceof ServiceError && thrown.kind === 'invalid' ? new UsageError(thrown.message) : thrown;
}

function atLeastOne(text: string): number {
  if (!/^[1-9][0-9]{0,8}$/.test(text))
    throw new InvalidArgumentError('expected a whole number from 1 on, such as 2000');
  return Number(text);
}

function fpp(text: string): number {
  const share = /^0?\.[0-9]{1,6}$/.test(text) ? Number(text) : 0;
  if (share < 1e-5 || share > 0.5) throw new InvalidArgumentError('expected a share from 0.00001 to 0.5, such as 0.01');
  return share;
}

function byteSize(text: string): number {
  try {
    return parseByteSize(text);
  } catch {
    throw new InvalidArgumentError('expected a size such as 512MB');
  }
}
