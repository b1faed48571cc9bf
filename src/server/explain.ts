/**
 * `pointlake-explain: 1`: an answer with its receipt.
 *
 * The body of a row or value stays what it is, so that its receipt is a header, `pointlake-receipt`; a batch has it in its
 * body. Problems have it too: a request that timed out is the one whose reads are asked about.
 */

import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyReply } from 'fastify';
import { ServiceError } from '../core/index.ts';
import { Receipt } from '../shard/index.ts';
import type { Table } from '../table/index.ts';

/** Undefined unless the request wants one: nothing is counted then. */
export function receiptFor(headers: IncomingHttpHeaders): Receipt | undefined {
  return isExplainAsked(headers) ? new Receipt() : undefined;
}

export function isExplainAsked(headers: IncomingHttpHeaders): boolean {
  const header = headers['pointlake-explain'];
  if (header === undefined || header === '0') return false;
  if (header === '1') return true;
  const message = 'the header pointlake-explain is 1 for a receipt, or 0, or left out';
  throw new ServiceError('invalid', 'bad_header', message, { header: 'pointlake-explain' });
}

/** Puts it where whoever writes the reply need not know of it. */
export function addReceipt(reply: FastifyReply, receipt: Receipt | undefined, table: Table): void {
  if (receipt === undefined || reply.raw.headersSent) return;
  reply.raw.setHeader('pointlake-receipt', JSON.stringify(receiptOf(receipt, table)));
  reply.raw.setHeader('server-timing', receipt.serverTiming());
}

export function receiptOf(receipt: Receipt, table: Table): object {
  return receipt.toObject((gets, bytes) => table.source.account.priceUsd(gets, 0, bytes));
}
