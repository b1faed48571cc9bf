/** The command line: what `pointlake` can do, one module a command. */

import { Command, CommanderError } from 'commander';
import { asServiceError } from '../core/index.ts';
import { benchCommand } from './bench.ts';
import { inspectCommand } from './inspect.ts';
import { lookupCommand } from './lookup.ts';
import { preloadCommand } from './preload.ts';
import { rewriteCommand } from './rewrite.ts';
import { scanCommand } from './scan.ts';
import { serveCommand } from './serve.ts';
import { UsageError } from './usage.ts';
import { VERSION } from './version.ts';

const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;

await main(process.argv);

async function main(argv: readonly string[]): Promise<void> {
  const program = new Command('pointlake')
    .description('Point lookups on Parquet files in S3 or on disk, over HTTP.')
    .version(VERSION)
    .option('--verbose', 'print the stack of an error')
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(oneLine(text)) });
  const commands = [
    serveCommand(),
    lookupCommand(),
    scanCommand(),
    inspectCommand(),
    preloadCommand(),
    rewriteCommand(),
    benchCommand(),
  ];
  for (const command of commands) {
    program.addCommand(command.exitOverride().configureOutput({ outputError: (text, write) => write(oneLine(text)) }));
  }
  // A reader that has seen enough closes the pipe; that is no fault of ours.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : EXIT_FAILURE));
  try {
    await program.parseAsync(argv as string[]);
  } catch (thrown) {
    process.exitCode = report(thrown, program.opts<{ verbose?: boolean }>().verbose ?? argv.includes('--verbose'));
  }
}

/** One line on stderr; the exit code tells a mistake in the call (2) from a failure (1). */
function report(thrown: unknown, verbose: boolean): number {
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : EXIT_USAGE;
  const error = asServiceError(thrown);
  process.stderr.write(`pointlake: ${verbose ? (error.stack ?? error.message) : oneLine(error.message)}\n`);
  if (verbose && error.cause instanceof Error) process.stderr.write(`caused by: ${error.cause.stack}\n`);
  return thrown instanceof UsageError ? EXIT_USAGE : EXIT_FAILURE;
}

function oneLine(text: string): string {
  return text
    .trim()
    .replace(/\s*\n\s*/g, ' ')
    .concat(text.endsWith('\n') ? '\n' : '');
}
