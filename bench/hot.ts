/**
 * Hot lookups over HTTP: random rows of `cities`, all kept as encoded texts, beside a bare Fastify route that answers a fixed text
 * of the median size with the same headers. Server on one core, load on the other, rounds interleaved.
 *
 *     npm run bench -- hot [--small]
 */

import { execFileSync } from 'node:child_process';
import { availableParallelism, cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { printHeading, printPairs } from './harness/pair-table.ts';
import { interleave, spread } from './harness/rounds.ts';
import { measureRows } from './harness/row-client.ts';
import { compareAnswers } from './harness/same-answers.ts';
import { startBareRoute, startPointlake } from './harness/servers.ts';

const small = process.argv.includes('--small');
const connections = small ? [16] : [1, 16, 64];
const rounds = small ? 3 : 7;
const seconds = small ? 1 : 3;
const comparedKeys = small ? 200 : 1000;

const serverCore = 0;
const clientCore = 1;
const lastKey = 171_075;
const pathBeforeKey = '/v1/tables/cities/rows/';
const keysPerBatch = 1000;
const localPath = (path: string) => fileURLToPath(new URL(path, import.meta.url));

if (availableParallelism() < 2) throw new Error('this bench needs two cores, one for the server and one for the load');
execFileSync(process.execPath, [localPath('../datasets/make.ts'), 'flights', 'cities', 'documents'], {
  stdio: 'inherit',
});

const pointlake = await startPointlake(localPath('../datasets/pointlake.yaml'), serverCore);
const medianSize = await warm(pointlake.origin);
const digest = await compareAnswers(
  `${pointlake.origin}${pathBeforeKey}`,
  localPath('../datasets/data/cities.parquet'),
  'id',
  lastKey,
  comparedKeys,
);
const bare = await startBareRoute(...(await answerOfSize(pointlake.origin, medianSize)), serverCore);

console.log(
  `${cpus()[0]?.model.trim()}, ${cpus().length} cores; Node ${process.versions.node}; ${new Date().toISOString().slice(0, 10)}`,
);
console.log(
  `cities, ${lastKey} rows x 17 columns, uniform random keys, rows kept encoded; answers of ${medianSize} bytes (median)`,
);
console.log(`${comparedKeys} answers equal a plain read; digest ${digest}`);
console.log(
  `${rounds} interleaved rounds of ${seconds} s; median [min to max]; ratio of each pair, ours / bare route\n`,
);
printHeading();
for (const count of connections) {
  const load = { pathBeforeKey, lastKey, connections: count, seconds };
  await interleave(pointlake, bare, { ...load, seconds: 1 }, 1, clientCore);
  printPairs(count, await interleave(pointlake, bare, load, rounds, clientCore));
}
await bare.stop();
await pointlake.stop();

/**
 * Reads every row in batches, so that all blocks are in memory, then each by itself, so that its text is kept; returns the
 * median size of a row in bytes.
 */
async function warm(origin: string): Promise<number> {
  const sizes: number[] = [];
  for (let first = 1; first <= lastKey; first += keysPerBatch) {
    const keys = Array.from({ length: Math.min(keysPerBatch, lastKey - first + 1) }, (_, i) => first + i);
    const answer = await fetch(`${origin}/v1/tables/cities/lookup`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ keys }),
    });
    if (!answer.ok) throw new Error(`warming up answered ${answer.status}: ${await answer.text()}`);
    const { results } = (await answer.json()) as { results: { status: string; row: unknown }[] };
    const missing = results.find((result) => result.status !== 'found');
    if (missing !== undefined) throw new Error(`warming up found ${JSON.stringify(missing)}`);
    for (const result of results) sizes.push(Buffer.byteLength(JSON.stringify(result.row)));
  }
  let key = 0;
  const nextPath = () => pathBeforeKey + (key < lastKey ? ++key : lastKey);
  while (key < lastKey) await measureRows(origin, nextPath, 16, 1);
  return spread(sizes).median;
}

/** Headers of a real answer without those that HTTP itself sets, and the text of a row of that size. */
async function answerOfSize(origin: string, size: number): Promise<[Readonly<Record<string, string>>, string]> {
  for (let key = 1; key <= lastKey; key++) {
    const answer = await fetch(`${origin}${pathBeforeKey}${key}`);
    const body = await answer.text();
    if (Buffer.byteLength(body) !== Math.round(size)) continue;
    const ofHttp = new Set(['date', 'connection', 'keep-alive', 'content-length']);
    return [Object.fromEntries([...answer.headers].filter(([name]) => !ofHttp.has(name))), body];
  }
  throw new Error(`no row has a size of ${size} bytes`);
}
