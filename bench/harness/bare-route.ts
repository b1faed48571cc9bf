/**
 * The yardstick: Fastify routes with the same parameters as lookups, by GET and by body, that answer one fixed text with the
 * same headers. What a real lookup costs beyond it is ours. `bare-route.ts PORT '{"headers":{...},"body":"..."}'`
 */

import fastify from 'fastify';

const [port = '', answer = ''] = process.argv.slice(2);
const { headers, body } = JSON.parse(answer) as { headers: Record<string, string>; body: string };

const app = fastify({ logger: false });
app.get('/readyz', (_request, reply) => {
  reply.send('ready');
});
app.get('/v1/tables/:table/rows/:key', (_request, reply) => {
  reply.headers(headers).send(body);
});
app.post('/v1/tables/:table/lookup', (_request, reply) => {
  reply.headers(headers).send(body);
});
process.once('SIGTERM', () => process.exit(0));
await app.listen({ host: '127.0.0.1', port: Number(port) });
