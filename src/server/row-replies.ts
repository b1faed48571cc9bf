/** What rows, values and absent keys are answered with, whether they were in memory or had to be fetched. */

import type { IncomingMessage } from 'node:http';
import type { ValueAnswer } from '../shard/index.ts';
import type { Snapshot, TableKey } from '../table/index.ts';
import { checkAccepts, isNotModified } from './conditions.ts';
import type { ServerContext } from './context.ts';
import type { CacheTier, Encoder } from './encoders.ts';
import { COPIED_BYTES_MAX } from './large-replies.ts';
import { problemOf } from './problem.ts';
import { canStream, type Reply } from './reply.ts';
import type { ReplyHeaders } from './reply-headers.ts';
import { respond, respondEmpty, respondProblem } from './respond.ts';
import { decodePart } from './target.ts';

/** `/v1/tables/{table}/rows/`, and with `by` or `values` in its place, are four parts. */
export const PREFIX_PARTS = 4;

/** What values are served as, by their column's type. */
export const VALUE_TYPES: readonly string[] = ['text/plain', 'application/json', 'application/octet-stream'];

/** What answering needs, whatever is answered. */
export type Answering = Pick<ServerContext, 'clock' | 'largeReplies'>;

/** What the answer depends on. */
export type Asked = Pick<IncomingMessage, 'url' | 'headers'>;

/** By which key a path asks, and the parts of it that are the key. */
export interface KeyPath {
  address(snapshot: Snapshot, parts: readonly string[]): { readonly by: TableKey; readonly parts: readonly string[] };
  /** The key as it stands in the URL of a value; undefined where values are not to be had by this key. */
  valuePath(parts: readonly string[]): string | undefined;
}

/** `.../rows/{key}` */
export const byOwnKey: KeyPath = {
  address: (snapshot, parts) => ({ by: snapshot.primaryKey, parts }),
  valuePath: (parts) => parts.join('/'),
};

/** `.../by/{keyName}/{value}` */
export const byNamedKey: KeyPath = {
  address: (snapshot, [name = '', ...parts]) => ({ by: snapshot.key(decodePart(name)), parts }),
  valuePath: () => undefined,
};

export function sendValue(
  context: Answering,
  request: Asked,
  reply: Reply,
  encoder: Encoder,
  parts: readonly string[],
  answer: ValueAnswer,
): void {
  const { snapshot, tier } = answer;
  reply.tier = tier;
  if (answer.kind === 'absent') {
    sendAbsent(context, reply, snapshot, parts, tier);
    return;
  }
  const headers = encoder.headers[tier].list(ageSeconds(context, snapshot));
  if (answer.kind === 'value') checkAccepts(request.headers, answer.value.contentType);
  if (isNotModified(request.headers['if-none-match'], encoder.etag)) respondEmpty(reply, 304, headers);
  else if (answer.kind === 'value') {
    const { body, contentType } = answer.value;
    const all = [...headers, 'content-type', contentType];
    if (typeof body === 'string' && body.length <= COPIED_BYTES_MAX) respond(reply, 200, all, body);
    else if (canStream(reply))
      context.largeReplies.send(reply, all, typeof body === 'string' ? Buffer.from(body) : body);
    else respond(reply, 200, all, Buffer.from(body));
  } else respondEmpty(reply, 204, headers);
}

/** Whether it is sent as its client reads. */
export function isLarge(answer: ValueAnswer): boolean {
  return answer.kind === 'value' && answer.value.body.length > COPIED_BYTES_MAX;
}

/** A row that was found, and what it is answered with. */
export interface FoundRow {
  readonly snapshot: Snapshot;
  readonly encoder: Encoder;
  readonly tier: CacheTier;
  readonly json: string;
}

/** 304 where the client has the row; else its text, by `send`. */
export function sendFound<R extends Reply>(
  context: Answering,
  request: Asked,
  reply: R,
  { snapshot, encoder, tier, json }: FoundRow,
  send: (reply: R, headers: ReplyHeaders, ageSeconds: number, body: string) => void,
): void {
  reply.tier = tier;
  const headers = encoder.headers[tier];
  const age = ageSeconds(context, snapshot);
  if (isNotModified(request.headers['if-none-match'], encoder.etag)) respondEmpty(reply, 304, headers.list(age));
  else send(reply, headers, age, json);
}

/** 404 only ever says that the key is provably in no file of the snapshot. */
export function sendAbsent(
  context: Answering,
  reply: Reply,
  snapshot: Snapshot,
  parts: readonly string[],
  tier: CacheTier,
): void {
  reply.tier = tier;
  const table = snapshot.definition.name;
  const shown = parts.map((part) => shorten(decodePart(part)));
  const detail = `no row of table ${table} has the key ${shown.join('/')}`;
  const error = { kind: 'notFound', code: 'key_not_found', message: detail, context: { table, key: shown } } as const;
  const headers = ['pointlake-snapshot', snapshot.id, 'pointlake-cache', tier, ...ageHeader(context, snapshot)];
  respondProblem(reply, problemOf(error, headers));
}

function shorten(part: string): string {
  return part.length > 100 ? `${part.slice(0, 100).toWellFormed()}…` : part;
}

export function ageHeader(context: Pick<ServerContext, 'clock'>, snapshot: Snapshot): readonly string[] {
  return ['pointlake-snapshot-age', `${ageSeconds(context, snapshot)}`];
}

/** Since a listing last confirmed the snapshot. */
function ageSeconds(context: Pick<ServerContext, 'clock'>, snapshot: Snapshot): number {
  return Math.max(0, Math.floor((context.clock.nowMs() - snapshot.confirmedAtMs) / 1000));
}

/** A table without a file has no schema to read a key by, and no row either. */
export function isEmpty(snapshot: Snapshot): boolean {
  return snapshot.keyLeaves.length === 0;
}
