/** Pointlake in process: as the text that it makes, and with that text parsed, which is what other libraries hand out. */

import { setTimeout as sleep } from 'node:timers/promises';
import { createNode } from '../../src/main.ts';
import { parsePreload, tableDefinition } from '../../src/table/index.ts';
import type { OpenPeer, Peer, PeerFiles } from './peer.ts';
import type { Row } from './table.ts';

/** A row decoded, its share of the key index and what memory is set aside for. */
const BYTES_A_ROW = 1000;
const MEMORY_BYTES_MIN = 512 * 2 ** 20;

export function memoryBytesFor(rows: number): number {
  return Math.max(MEMORY_BYTES_MIN, rows * BYTES_A_ROW);
}

export const peers: readonly Peer[] = [
  { name: 'pointlake', answers: 'JSON text', open: (files) => open(files, false) },
  { name: 'pointlake, parsed', answers: 'object', open: (files) => open(files, true) },
];

/** All in memory: what is measured is a server that has been up for a while. */
async function open({ parquet, rows }: PeerFiles, isParsed: boolean): Promise<OpenPeer> {
  const definition = { ...tableDefinition('rows', parquet, ['id']), index: 'auto' as const };
  const node = createNode({ s3: {}, cacheMemoryBytes: memoryBytesFor(rows), tables: [definition] });
  const table = node.catalog.get('rows');
  const snapshot = await table.refresh();
  for (const indexing of node.indexings(table)) await indexing.idle();
  const { job } = await node.preloader.begin(table, parsePreload({ columns: 'all' }));
  while (job.state === 'running') await sleep(20);
  if (job.state !== 'done') throw new Error(`the preload is ${job.state}`);
  const projection = snapshot.projection(undefined);
  const signal = new AbortController().signal;
  const rowText = (id: number): string | Promise<string> => {
    const text = node.engine.tryRow(snapshot, [BigInt(id)], projection);
    if (text === null) throw new Error(`key ${id} was not found`);
    return text ?? node.engine.row(snapshot, [BigInt(id)], projection, signal).then(({ json }) => json ?? 'null');
  };
  const parsed = (id: number) => {
    const text = rowText(id);
    return typeof text === 'string' ? JSON.parse(text) : text.then((late) => JSON.parse(late));
  };
  return {
    ask: isParsed ? parsed : rowText,
    asRow: (answer) => (typeof answer === 'string' ? (JSON.parse(answer) as Row) : (answer as Row)),
    close: () => node.close(),
  };
}
