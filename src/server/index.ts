/** The server room: HTTP in front of the lookup engine. */

export type { ServerOptions } from './context.ts';
export { isLoopbackHost } from './loopback.ts';
export { type ListenAddress, type PointlakeServer, type ServerParts, startServer } from './server.ts';
