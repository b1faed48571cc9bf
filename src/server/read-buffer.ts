/**
 * What comes on a socket of a server, read into one buffer again and again.
 *
 * Node reads each piece into 64 KiB of its own that are then cut to its size, and makes an `ArrayBuffer` of them. Where each request is a piece,
 * a thousand of these are freed in each collection of the young generation: four fifths of its pause. Sockets that a program makes
 * itself may be given one buffer for all (`onread`, https://nodejs.org/api/net.html#new-netsocketoptions); a server's are made by Node. What that option sets in a
 * socket is set here in one that is there already. Its names are found by what Node sets in a socket of our own.
 */

import { Socket } from 'node:net';

const BYTES = 64 * 1024;
/** For all sockets of a thread, since each piece is done with before the next is read. */
const buffer = Buffer.allocUnsafeSlow(BYTES);

type OnRead = (bytes: number, buffer: Uint8Array) => boolean;

interface Inner {
  readonly _handle?: { useUserBuffer?(buffer: Uint8Array): void } | null;
  [name: symbol]: unknown;
}

const names = namesInside();

/**
 * From now on a piece is good until the listeners of `data`, who are called as before, have returned. False, and nothing
 * changed, where Node's sockets are not as they were.
 */
export function readInPlace(socket: Socket): boolean {
  const inner = socket as unknown as Inner;
  const handle = inner._handle;
  if (names === undefined || inner[names.buffer] !== null || typeof handle?.useUserBuffer !== 'function') return false;
  const onRead: OnRead = (bytes) => {
    socket.emit('data', buffer.subarray(0, bytes));
    return true;
  };
  inner[names.callback] = onRead;
  inner[names.buffer] = buffer;
  handle.useUserBuffer(buffer);
  return true;
}

function namesInside(): { readonly buffer: symbol; readonly callback: symbol } | undefined {
  const callback: OnRead = () => true;
  const ours = new Socket({ onread: { buffer, callback } }) as unknown as Inner;
  const nameOf = (value: unknown) => Object.getOwnPropertySymbols(ours).find((name) => ours[name] === value);
  const found = { buffer: nameOf(buffer), callback: nameOf(callback) };
  return found.buffer && found.callback ? { buffer: found.buffer, callback: found.callback } : undefined;
}
