/**
 * Requests that differ in nothing but their target from one that Node's parser has read on the same connection.
 *
 * A client that asks for one row after the other sends the same bytes each time, but for the key. Such a request needs no
 * second parser: what Node made of the first, with another target, is what it would make of this one. Node's parser, its request and
 * its response are most of what a hot row costs (`docs/adr/0038-alike-requests-pass-by-the-parser.md`).
 *
 *     "GET " target " HTTP/1.1\r\nhost: ...\r\ntraceparent: " value "\r\naccept: ...\r\n\r\n"
 *                   \_________________ known _________________/       \______ known ______/
 *
 * Values of headers by which requests are only followed from one program to another may differ, too. Nothing is concluded that is not
 * proved:
 *
 * - the known parts are kept only where Node's parser made exactly one request of exactly one chunk, and that request, written out again
 *   from its method, target, version and headers, is the chunk byte for byte. So the parser was between two messages before and
 *   is after, since a GET without a length has no body;
 * - they are used only for a whole chunk that is `GET `, a target of plain characters without a space, and the known parts with such
 *   values between them, while no answer is under way or unwritten on that connection. The parser does not see it and stays between two messages;
 * - whatever else comes, in part or in whole, goes to Node's parser as it came, and unless that proves it anew nothing is known then.
 *
 * A connection that is asked for an answer in pieces, which is written as its client reads, is left to Node's parser for good.
 *
 * The socket stays Node's, with its time-outs, its errors and its place among the server's connections. Its only listener of `data`, which is
 * the parser's, is called by ours: to whoever listens to a socket under its server Node gives the data that its parser took from the
 * system itself before. Where the parser's listener is not there, or not alone, a connection is left as it is. What comes is read in place
 * (`read-buffer.ts`): a chunk is good until it was looked at, and the parser gets a copy.
 */

import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { readInPlace } from './read-buffer.ts';
import { headerLines } from './reply-headers.ts';
import { type NodeHeaders, SocketReply } from './socket-reply.ts';

/** Longer requests go the usual way. */
const BYTES_MAX = 4096;
const NOTHING: readonly string[] = [];
const METHOD = 'GET ';
const VERSION = ' HTTP/1.1\r\n';
/** What a target may consist of here: of the characters of URLs those that no parser has doubts about. */
const PLAIN_TARGET = /^\/[\w\-.~!$&'()*+,;=:@%/?]*$/;
/** Headers that say something of a body or of the connection: to be read by who does what they say. */
const OF_MESSAGE = [
  'content-length',
  'transfer-encoding',
  'expect',
  'upgrade',
  'te',
  'trailer',
  'http2-settings',
] as const;

/** Headers that differ from request to request, and that no handler reads. */
const FOLLOWING: ReadonlySet<string> = new Set([
  'traceparent',
  'tracestate',
  'b3',
  'x-b3-traceid',
  'x-b3-spanid',
  'x-b3-parentspanid',
  'x-amzn-trace-id',
  'x-cloud-trace-context',
  'x-correlation-id',
  'x-request-id',
]);
/** What their values may be here. */
const PLAIN_VALUE = /^[\w\-.:;,=+/]{1,256}$/;

/** A request on such a connection. */
export class AlikeRequest {
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly raw: SocketReply<AlikeRequest>;
  /** In Latin-1: the chunk's own bytes are not there for long. */
  readonly #text: string;
  readonly #connection: Connection;
  #isPassedOn = false;

  constructor(connection: Connection, url: string, text: string) {
    this.#connection = connection;
    this.url = url;
    this.headers = connection.headers;
    this.raw = connection.reply;
    this.#text = text;
  }

  get isPassedOn(): boolean {
    return this.#isPassedOn;
  }

  /** Has Node's parser read it, and the server's other way answer it; not where it was answered. */
  passOn(): void {
    if (this.raw.waiting !== this) return;
    this.#isPassedOn = true;
    this.#connection.passOn(Buffer.from(this.#text, 'latin1'));
  }

  /** Leaves its connection to Node's parser, which reads it and all after it, each then to be looked at as others are. */
  leaveToNode(): void {
    this.#isPassedOn = true;
    this.#connection.leaveToNode(Buffer.from(this.#text, 'latin1'));
  }
}

export interface AlikeHandler {
  /** Answers at the end of the turn or later, or passes on; false where it does neither. */
  serveAlike(request: AlikeRequest): boolean;
  /** Ends the turn. */
  answerTurn(): void;
}

export class AlikeRequests {
  readonly #handler: AlikeHandler;
  readonly #ofNode: NodeHeaders;
  readonly #isLeaving: (socket: Socket) => boolean;
  readonly #watched = new WeakSet<Socket>();
  #parsing: Connection | undefined = undefined;

  /** Connections that are leaving get their answers from Node, which says so in them. */
  constructor(handler: AlikeHandler, ofNode: NodeHeaders, isLeaving: (socket: Socket) => boolean) {
    this.#handler = handler;
    this.#ofNode = ofNode;
    this.#isLeaving = isLeaving;
  }

  /** To be called with each connection that rows are asked for on. */
  watch(socket: Socket): void {
    if (this.#watched.has(socket)) return;
    this.#watched.add(socket);
    const [onData, ...others] = socket.listeners('data') as ((chunk: Buffer) => void)[];
    if (onData === undefined || others.length > 0 || socket.listenerCount('readable') > 0) return;
    const parse = (connection: Connection, chunk: Buffer) => {
      // A turn that ends meanwhile may have a chunk of another connection read.
      const before = this.#parsing;
      this.#parsing = connection;
      try {
        onData.call(socket, chunk);
      } finally {
        this.#parsing = before;
      }
    };
    const connection = new Connection(socket, parse, new SocketReply<AlikeRequest>(socket, this.#ofNode));
    socket.on('data', (chunk: Buffer) => this.#onChunk(connection, chunk));
    socket.removeListener('data', onData);
    readInPlace(socket);
  }

  /** To be called with each request that Node's parser has read; true where it was looked at by the handler before. */
  parsed(request: IncomingMessage, response: ServerResponse): boolean {
    return this.#parsing?.parsed(request, response) ?? false;
  }

  #onChunk(connection: Connection, chunk: Buffer): void {
    // What came before is answered before, or at least known to Node before.
    if (connection.reply.waiting !== undefined) this.#handler.answerTurn();
    connection.reply.waiting?.passOn();
    const alike = this.#isLeaving(connection.socket) ? undefined : connection.recognized(chunk);
    // Behind the parser a chunk may be kept.
    if (alike === undefined) connection.read(Buffer.from(chunk));
    else if (!this.#handler.serveAlike(alike)) alike.passOn();
  }
}

class Connection {
  readonly socket: Socket;
  readonly reply: SocketReply<AlikeRequest>;
  readonly #parse: (connection: Connection, chunk: Buffer) => void;
  /** From the end of the target on, with a value between each two; empty where nothing is known. */
  #known: readonly string[] = NOTHING;
  headers: IncomingHttpHeaders = {};
  /** What Node's parser made of the chunk that it is given, and of how many requests that is the last. */
  #request: IncomingMessage | undefined = undefined;
  #requests = 0;
  #isPassedOn = false;
  #isLeftToNode = false;
  /** Answers of Node's that are not out. */
  #underWay = 0;
  readonly #onClose = () => {
    this.#underWay -= 1;
  };

  constructor(
    socket: Socket,
    parse: (connection: Connection, chunk: Buffer) => void,
    reply: SocketReply<AlikeRequest>,
  ) {
    this.socket = socket;
    this.#parse = parse;
    this.reply = reply;
  }

  /** The chunk as a request like the last, which waits from now on; undefined where it is none. */
  recognized(chunk: Buffer): AlikeRequest | undefined {
    if (this.#known.length === 0 || this.#underWay > 0 || this.socket.writableLength > 0 || chunk.length > BYTES_MAX)
      return undefined;
    const text = chunk.toString('latin1');
    const url = targetIn(text, this.#known);
    if (url === undefined) return undefined;
    const request = new AlikeRequest(this, url, text);
    this.reply.begin(request);
    return request;
  }

  /** The request that waits. */
  passOn(chunk: Buffer): void {
    this.reply.takeBack();
    const known = this.#known;
    this.#isPassedOn = true;
    const request = this.#readOne(chunk);
    this.#isPassedOn = false;
    if (request !== undefined) this.#known = known;
  }

  leaveToNode(chunk: Buffer): void {
    this.reply.takeBack();
    this.#isLeftToNode = true;
    this.read(chunk);
  }

  /** By Node's parser. */
  read(chunk: Buffer): void {
    const request = this.#readOne(chunk);
    if (request === undefined || chunk.length > BYTES_MAX || this.#isLeftToNode) return;
    this.#known = knownParts(chunk.toString('latin1'), request);
    this.headers = request.headers;
  }

  /** What Node's parser has made of the chunk; true where that was passed on. */
  parsed(request: IncomingMessage, response: ServerResponse): boolean {
    this.#request = request;
    this.#requests += 1;
    this.#underWay += 1;
    response.once('close', this.#onClose);
    return this.#isPassedOn;
  }

  /** The request that Node's parser makes of the chunk, where it is one; until more is said nothing is known. */
  #readOne(chunk: Buffer): IncomingMessage | undefined {
    this.#known = NOTHING;
    // A client that is gone, or wants no answer.
    if (!this.socket.writable) return undefined;
    this.#parse(this, chunk);
    const request = this.#requests === 1 ? this.#request : undefined;
    this.#request = undefined;
    this.#requests = 0;
    return request;
  }
}

/** The target of a request that has these parts, and nothing else but the values between them. */
function targetIn(text: string, known: readonly string[]): string | undefined {
  if (!text.startsWith(METHOD)) return undefined;
  const end = text.indexOf(' ', METHOD.length);
  let at = end;
  for (let i = 0; i < known.length; i++) {
    const part = known[i] ?? '';
    if (i > 0) {
      const valueEnd = text.indexOf('\r', at);
      if (!PLAIN_VALUE.test(text.slice(at, valueEnd))) return undefined;
      at = valueEnd;
    }
    if (!text.startsWith(part, at)) return undefined;
    at += part.length;
  }
  const target = text.slice(METHOD.length, end);
  return at === text.length && PLAIN_TARGET.test(target) ? target : undefined;
}

/** Of a request's text what follows the target, where that is to be taken for known; else nothing. */
function knownParts(
  text: string,
  { method, url = '', httpVersion, headers, rawHeaders }: IncomingMessage,
): readonly string[] {
  if (method !== 'GET' || httpVersion !== '1.1' || !/^keep-alive$/i.test(headers.connection ?? 'keep-alive'))
    return NOTHING;
  if (OF_MESSAGE.some((name) => headers[name] !== undefined)) return NOTHING;
  if (text !== `${METHOD}${url}${VERSION}${headerLines(rawHeaders)}\r\n`) return NOTHING;
  const known: string[] = [];
  let part = VERSION;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const [name = '', value = ''] = [rawHeaders[i], rawHeaders[i + 1]];
    part += `${name}: `;
    if (FOLLOWING.has(name.toLowerCase())) {
      known.push(part);
      part = '';
    } else part += value;
    part += '\r\n';
  }
  return [...known, `${part}\r\n`];
}
