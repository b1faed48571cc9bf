/**
 * `GET /metrics`: everything that is counted, in Prometheus' text format.
 *
 * The text is made a family at a time with other requests between, so that a scrape of many tables holds up nobody;
 * scrapes that come meanwhile share it. What prom-client knows of the process is watched from the first scrape on, and
 * so costs nothing where nobody scrapes.
 */

import type { FastifyReply, FastifyRequest } from 'fastify';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { checkRequestHeaders } from './conditions.ts';
import type { ServerContext } from './context.ts';
import { nodeFamilies } from './metrics-node.ts';
import { tableFamilies } from './metrics-tables.ts';
import { familyText } from './metrics-text.ts';
import { respond, respondError } from './respond.ts';

const otherRequests = () => new Promise<void>((resolve) => setImmediate(resolve));

export function metricsHandler(context: ServerContext): (request: FastifyRequest, reply: FastifyReply) => void {
  const families = [...context.metrics.families(), ...nodeFamilies(context), ...tableFamilies(context)];
  let ofProcess: Registry | undefined;
  let scrape: Promise<string> | undefined;
  const write = async () => {
    ofProcess ??= processMetrics();
    await context.loops.hear();
    let text = '';
    for (const family of families) {
      text += familyText(family);
      await otherRequests();
    }
    // prom-client writes Nan, which the format does not know.
    return text + (await ofProcess.metrics()).replaceAll(/ Nan$/gm, ' NaN');
  };
  return (request, reply) => {
    checkRequestHeaders(request.raw.headers, ['text/plain']);
    scrape ??= write().finally(() => {
      scrape = undefined;
    });
    scrape.then(
      (text) => respond(reply, 200, ['content-type', Registry.PROMETHEUS_CONTENT_TYPE], text),
      (thrown) => respondError(reply, thrown, context.onInternalError),
    );
  };
}

function processMetrics(): Registry {
  const register = new Registry();
  collectDefaultMetrics({ register });
  return register;
}
