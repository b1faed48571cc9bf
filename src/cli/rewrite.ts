/** `pointlake rewrite`: a copy of a file or folder that looks up well. */

import { tmpdir } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import { formatBytes, parseByteSize, ServiceError } from '../core/index.ts';
import { LocalTarget, type RewriteCodec, type RewriteSummary, rewrite } from '../rewrite/index.ts';
import { withOneTable, writeOut } from './one-table.ts';
import { collectNames, UsageError } from './usage.ts';
import { VERSION } from './version.ts';

const MEMORY_BYTES_MIN = 64e6;

interface RewriteOptions {
  readonly key: readonly string[];
  readonly rowsPerPage: number;
  readonly rowsPerGroup: number;
  readonly codec: RewriteCodec;
  readonly memory: number;
  readonly fileSize: number;
  readonly temporary: string;
  readonly force?: boolean;
}

export function rewriteCommand(): Command {
  return new Command('rewrite')
    .description('Write a copy that looks up well: sorted by key, small pages, a page index.')
    .argument('<source>', 'a path, glob, folder or s3:// URI')
    .argument('<target>', 'a local path: one file where it ends in .parquet, else a folder')
    .requiredOption('--key <names>', 'the columns to sort by, as a,b or by repeating the option', collectNames)
    .option('--rows-per-page <n>', 'rows of a page at most', atLeastOne, 2000)
    .option('--rows-per-group <n>', 'rows of a row group at most', atLeastOne, 1_000_000)
    .addOption(
      new Option('--codec <name>', 'how pages are compressed').choices(['zstd', 'snappy', 'none']).default('zstd'),
    )
    .option('--memory <size>', 'what sorting and writing may take', byteSize, 512e6)
    .option('--file-size <size>', 'about how large the files of a folder become', byteSize, 1e9)
    .option('--temporary <folder>', 'where what does not fit in memory is kept meanwhile', tmpdir())
    .option('--force', 'replace a target that exists')
    .addHelpText('after', '\nExample:\n  pointlake rewrite data/users.parquet data/users-by-id.parquet --key id')
    .action((source: string, target: string, options: RewriteOptions) => runRewrite(source, target, options));
}

async function runRewrite(uri: string, targetUri: string, options: RewriteOptions): Promise<void> {
  const { memory, fileSize, temporary, key, ...layout } = options;
  if (memory < MEMORY_BYTES_MIN) throw new UsageError(`--memory must be at least ${formatBytes(MEMORY_BYTES_MIN)}`);
  const target = await LocalTarget.open(targetUri, options.force ?? false).catch(asWrongUsage);
  const stop = new AbortController();
  const interrupt = () =>
    stop.abort(new ServiceError('unavailable', 'interrupted', 'interrupted; nothing was written'));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupt);
  const run = withOneTable(
    uri,
    key,
    async ({ node, snapshot }) => {
      const summary = await rewrite(node.loader, snapshot, target, {
        ...layout,
        uri,
        memoryBytes: memory,
        fileBytes: fileSize,
        temporaryFolder: temporary,
        createdBy: `pointlake version ${VERSION}`,
        signal: stop.signal,
      });
      await writeOut(textOf(summary, target.path));
    },
    { cacheMemoryBytes: memory / 2 },
  );
  await run.finally(() => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.removeListener(signal, interrupt);
  });
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

function byteSize(text: string): number {
  try {
    return parseByteSize(text);
  } catch {
    throw new InvalidArgumentError('expected a size such as 512MB');
  }
}
