/**
 * `pointlake bench`: asks a server, or our own engine in this process, for known keys as fast as it answers or at a
 * constant rate, and tells what came of it. Answers are checked before anything is timed.
 */

import { Command } from 'commander';
import type { BenchOptions } from './bench-options.ts';
import { collectNames } from './usage.ts';

export function benchCommand(): Command {
  return new Command('bench')
    .description('Ask a server for known keys, as fast as it answers or at a constant rate, and tell how it did.')
    .argument(
      '[url]',
      "a table's URL, http://host:port/v1/tables/NAME, any URL with {key} in it, or s3://bucket/... for S3 itself",
    )
    .option('--config <file>', 'instead of a URL: the server of this pointlake.yaml; with s3://... where its S3 is')
    .option('--table <name>', 'of the configuration this table')
    .option('--in-process <source>', 'instead of a URL: look up in these files with no server')
    .option(
      '--keys-from <uri>',
      'the keys of these Parquet files; of a configuration and --in-process the table itself',
    )
    .option('--key <names>', 'the key column, or columns as a,b, of --keys-from and --in-process', collectNames)
    .option('--range <first..last>', 'all integers from the first to the last as keys')
    .option('--keys-file <path>', 'keys from a text file, one a line')
    .option('--distribution <name>', 'uniform, sequential, zipf:THETA or latest:THETA', 'uniform')
    .option('--absent <share>', 'of the keys, those that are not there', '0')
    .option('--batch <keys>', 'so many keys a request')
    .option('--columns <names>', 'only these columns, as a,b', collectNames)
    .option('--value <column>', 'bare values of this column instead of rows')
    .option('--body <template>', 'POST this instead of GET; {key} and {keys} stand for JSON')
    .option('--bytes <size>', 'of s3://...: bytes a ranged GET, 64KiB by default')
    .option('--header <line>', "sent with every request, as 'name: value'; may be repeated", append)
    .option('--connections <n>', 'requests at the same time', '16')
    .option('--threads <n>', 'threads that make the load; by default all cores but one')
    .option('--rate <n>', 'requests a second, whether answers come or not; without it as fast as they come')
    .option('--warmup <duration>', 'load that is not measured', '2s')
    .option('--duration <duration>', 'how long it is measured', '10s')
    .option('--timeout <duration>', 'after which a request is given up', '10s')
    .option(
      '--ceiling <duration>',
      'how long the client itself is measured, on a server that does nothing; 0: not',
      '1s',
    )
    .option('--seed <n>', 'the same seed asks for the same keys', '1')
    .option('--check <keys>', 'answers held against a plain read of the source, where that is known', '100')
    .option('--json <file>', 'the result for programs')
    .option('--hdr <file>', 'the percentile distribution as HdrHistogram writes it')
    .option('--html <file>', 'a report with plots, one file')
    .addHelpText(
      'after',
      '\nExamples:\n  pointlake bench http://127.0.0.1:8080/v1/tables/cities --range 0..171074 --rate 2000 --html report.html\n  pointlake bench --in-process data/users.parquet --key id --distribution zipf:0.99',
    )
    .action(async (url: string | undefined, options: BenchOptions) => {
      // Loaded here, since no other command needs what it loads.
      const { runBench } = await import('./bench-run.ts');
      await runBench(url, options);
    });
}

function append(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}
