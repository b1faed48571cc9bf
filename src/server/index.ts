/** The server room: HTTP in front of the lookup engine. */

export { SERVER_DEFAULTS, type ServerOptions } from './context.ts';
export { isLoopbackHost } from './loopback.ts';
export { createServer, type ListenAddress, PointlakeServer, type ServerParts, startServer } from './server.ts';
