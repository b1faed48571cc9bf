/** The server room: HTTP in front of the lookup engine. */

export type { ServerOptions } from './context.ts';
export { type HotServer, startHotServer } from './hot-server.ts';
export { isLoopbackHost } from './loopback.ts';
export type { LoopReport } from './loops.ts';
export { HEADER_BYTES_MAX } from './refusals.ts';
export { type ListenAddress, type PointlakeServer, type ServerParts, startServer } from './server.ts';
