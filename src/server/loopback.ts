/** Which addresses are this machine's own, and which one a request came from. */

import type { IncomingMessage } from 'node:http';

/** Says to the event loop that a request is passed on to where it came from. Believed of the other loops of this process only. */
export const PASSED_FROM = 'pointlake-passed-from';

/** Of requests that other event loops of this process passed on. */
const passedFrom = new WeakMap<IncomingMessage, string>();

/** For the `host` to listen on: whether only this machine can reach it. */
export function isLoopbackHost(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[(.*)\]$/, '$1');
  return name === 'localhost' || name.endsWith('.localhost') || isLoopbackAddress(name);
}

/** For the address of a socket's other end, which unlike a header cannot be made up. */
export function isLoopbackAddress(address: string | undefined): boolean {
  if (address === undefined) return false;
  if (address === '::1' || address === '0:0:0:0:0:0:0:1') return true;
  return /^(?:::ffff:)?127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/i.test(address);
}

/** For each request that came over the socket on which only other event loops of this process ask. */
export function admitPassedOn(request: IncomingMessage): void {
  const from = request.headers[PASSED_FROM];
  delete request.headers[PASSED_FROM];
  passedFrom.set(request, typeof from === 'string' ? from : '');
}

/** Where the client is, whichever event loop it is connected to; undefined once it left. */
export function addressOf(request: IncomingMessage): string | undefined {
  return passedFrom.get(request) ?? request.socket.remoteAddress;
}
