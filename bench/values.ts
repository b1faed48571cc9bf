/**
 * Bare values over HTTP, hot: the time from the request to the first byte of the value and to its last one, for values of
 * 200 bytes and larger, asked for by turns on one connection. A large value is sent in slices as they lie in its block, so
 * its first byte should come about as soon as a small value does.
 *
 *     npm run bench -- values [--small]
 */

import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { ByteWriter, parquetWrite } from 'hyparquet-writer';
import { startPointlake } from './harness/servers.ts';

const isSmall = process.argv.includes('--small');
const ROUNDS = isSmall ? 200 : 3000;
const WARM_UP = isSmall ? 20 : 300;
const SIZES: readonly number[] = [200, 10_000, 100_000, 1_000_000];
const PER_SIZE = 50;
/** The first byte of a document of this size comes within so many times what one of the smallest takes. */
const GOAL = { bytes: 100_000, times: 2 };

interface Timed {
  readonly firstUs: number;
  readonly lastUs: number;
  readonly body: Buffer;
}

const folder = mkdtempSync(join(tmpdir(), 'pointlake-values-'));
const texts = SIZES.flatMap((bytes, size) =>
  Array.from({ length: PER_SIZE }, (_, i) => `${size}-${i} `.padEnd(bytes, 'lorem ipsum ')),
);
const missed: string[] = [];
const serverCore = Math.max(0, availableParallelism() - 2);

try {
  writeTable(join(folder, 'docs.parquet'));
  writeFileSync(join(folder, 'pointlake.yaml'), 'tables: { docs: { source: docs.parquet, key: id, preload: all } }\n');
  const server = await startPointlake(join(folder, 'pointlake.yaml'), serverCore);
  await measure(server.origin);
  await server.stop();
} finally {
  rmSync(folder, { recursive: true });
}
for (const line of missed) console.log(`MISSED: ${line}`);
if (missed.length > 0 && !isSmall) process.exitCode = 1;

async function measure(origin: string): Promise<void> {
  const { hostname, port } = new URL(origin);
  const socket = connect(Number(port), hostname).setNoDelay(true);
  const digest = createHash('sha256');
  const first: number[][] = SIZES.map(() => []);
  const last: number[][] = SIZES.map(() => []);
  for (let round = -WARM_UP; round < ROUNDS; round++) {
    for (const [size] of SIZES.entries()) {
      const id = size * PER_SIZE + (Math.abs(round) % PER_SIZE);
      // What came before must not count: a small value that nobody times lets both sides come to rest.
      await ask(socket, '/v1/tables/docs/values/text/0');
      const { firstUs, lastUs, body } = await ask(socket, `/v1/tables/docs/values/text/${id}`);
      if (round === 0) digest.update(body);
      if (body.length !== SIZES[size] || !body.equals(Buffer.from(texts[id] ?? '')))
        throw new Error(`value ${id} is wrong`);
      if (round < 0) continue;
      first[size]?.push(firstUs);
      last[size]?.push(lastUs);
    }
  }
  socket.destroy();
  console.log(`${cpus()[0]?.model.trim()}; Node ${process.versions.node}; ${ROUNDS} rounds, every answer compared`);
  console.log(`digest ${digest.digest('hex').slice(0, 16)}\n`);
  console.log('| value, bytes | first byte p50, us | p99 | of the smallest | last byte p50, us | goal |');
  console.log('| ---: | ---: | ---: | ---: | ---: | :--- |');
  const smallest = quantile(first[0] ?? [], 0.5);
  for (const [size, bytes] of SIZES.entries()) {
    const [p50, p99] = [quantile(first[size] ?? [], 0.5), quantile(first[size] ?? [], 0.99)];
    const times = p50 / smallest;
    const isMet = times < GOAL.times;
    if (bytes === GOAL.bytes && !isMet)
      missed.push(`${bytes} bytes: first byte after ${times.toFixed(2)} times that of ${SIZES[0]}`);
    const cells = [
      bytes,
      p50.toFixed(0),
      p99.toFixed(0),
      times.toFixed(2),
      quantile(last[size] ?? [], 0.5).toFixed(0),
      bytes === GOAL.bytes ? `under ${GOAL.times} times the smallest: ${isMet ? 'met' : 'MISSED'}` : '',
    ];
    console.log(`| ${cells.join(' | ')} |`);
  }
}

/** One request on a connection that is kept: head, then as many bytes as it says. */
function ask(socket: Socket, path: string): Promise<Timed> {
  const started = performance.now();
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let received = 0;
    let bodyAt = -1;
    let bodyBytes = 0;
    let firstUs = 0;
    const onData = (chunk: Buffer) => {
      chunks.push(chunk);
      received += chunk.length;
      if (bodyAt < 0) {
        const head = Buffer.concat(chunks);
        const end = head.indexOf('\r\n\r\n');
        if (end < 0) return;
        bodyAt = end + 4;
        const text = head.toString('latin1', 0, end);
        if (!text.startsWith('HTTP/1.1 200')) return reject(new Error(text));
        bodyBytes = Number(/content-length: (\d+)/i.exec(text)?.[1]);
      }
      if (firstUs === 0 && received > bodyAt) firstUs = (performance.now() - started) * 1000;
      if (received < bodyAt + bodyBytes) return;
      socket.off('data', onData);
      const lastUs = (performance.now() - started) * 1000;
      resolve({ firstUs, lastUs, body: Buffer.concat(chunks).subarray(bodyAt) });
    };
    socket.on('data', onData);
    socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
  });
}

function writeTable(path: string): void {
  const writer = new ByteWriter();
  const columnData = [
    { name: 'id', data: texts.map((_, id) => id), type: 'INT32' as const, nullable: false },
    { name: 'text', data: texts, type: 'STRING' as const, encoding: 'PLAIN' as const },
  ].map((column) => ({ columnIndex: true, offsetIndex: true, ...column }));
  parquetWrite({ writer, columnData, codec: 'SNAPPY', pageSize: 64 * 1024, rowGroupSize: PER_SIZE });
  writeFileSync(path, Buffer.from(writer.getBytes()));
}

function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0;
}
