/** `GET /healthz`: the process answers. `GET /readyz`: it should get traffic. */

import type { FastifyReply, FastifyRequest } from 'fastify';
import { ServiceError } from '../core/index.ts';
import type { ServerContext } from './context.ts';
import { problemOf } from './problem.ts';
import { respondJson, respondProblem } from './respond.ts';

type Handler = (request: FastifyRequest, reply: FastifyReply) => void;

export function healthHandler(): Handler {
  return (_request, reply) => respondJson(reply, { status: 'ok' });
}

export function readyHandler(context: ServerContext): Handler {
  return (_request, reply) => {
    if (context.isDraining()) {
      const message = 'the server is closing and takes no new traffic';
      return respondProblem(reply, problemOf(new ServiceError('unavailable', 'draining', message)));
    }
    if (context.catalog.ready()) return respondJson(reply, { status: 'ready' });
    const waiting = [...context.catalog.tables()].filter((table) => table.definition.required && !table.snapshot);
    const reasons = waiting.map((table) => `${table.name} (${table.error?.code ?? 'loading'})`);
    const message = `these required tables have no snapshot: ${reasons.slice(0, 20).join(', ')}`;
    const tables = waiting.slice(0, 20).map((table) => table.name);
    respondProblem(reply, problemOf(new ServiceError('unavailable', 'not_ready', message, { tables })));
  };
}
