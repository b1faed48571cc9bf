/**
 * A client that asks for rows over kept-alive connections and measures each answer: little more than a socket, so that
 * what is measured is the server.
 */

import { connect, type Socket } from 'node:net';

export interface Latencies {
  readonly requestsPerSecond: number;
  readonly p50Us: number;
  readonly p95Us: number;
  readonly p99Us: number;
}

/** Asks for what `pathOf` gives, again and again, on so many connections for so long. Throws at any answer but 200. */
export async function measureRows(
  origin: string,
  pathOf: () => string,
  connections: number,
  seconds: number,
): Promise<Latencies> {
  const started = performance.now();
  const endMs = started + seconds * 1000;
  const lanes = Array.from({ length: connections }, () => lane(origin, pathOf, endMs));
  const took = (await Promise.all(lanes)).flat().sort((a, b) => a - b);
  const at = (share: number) => Math.round(1000 * (took[Math.floor(share * took.length)] ?? Number.NaN));
  const requestsPerSecond = Math.round((1000 * took.length) / (performance.now() - started));
  return { requestsPerSecond, p50Us: at(0.5), p95Us: at(0.95), p99Us: at(0.99) };
}

/** Milliseconds of each answer on one connection. */
async function lane(origin: string, pathOf: () => string, endMs: number): Promise<number[]> {
  const { hostname, port, host } = new URL(origin);
  const socket = connect(Number(port), hostname);
  socket.setNoDelay(true);
  const took: number[] = [];
  try {
    while (performance.now() < endMs) {
      const started = performance.now();
      socket.write(`GET ${pathOf()} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      await answerOn(socket);
      took.push(performance.now() - started);
    }
  } finally {
    socket.destroy();
  }
  return took;
}

function answerOn(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    let text = '';
    const settle = (error?: Error) => {
      socket.removeAllListeners();
      if (error === undefined) resolve();
      else reject(error);
    };
    socket.on('error', settle);
    socket.on('close', () => settle(new Error('the server closed the connection')));
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      const head = text.indexOf('\r\n\r\n');
      if (head < 0) return;
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(text.slice(0, head))?.[1]);
      if (!text.startsWith('HTTP/1.1 200') || Number.isNaN(length)) settle(new Error(`answered ${text.slice(0, 300)}`));
      else if (text.length >= head + 4 + length) settle();
    });
  });
}
