/**
 * Requests that differ in nothing but their target from one that Node's parser has read on the same connection.
 *
 * A client that asks for one row after the other sends the same bytes each time, but for the key. Such a request needs no
 * second parser: what Node made of the first, with another target, is what it would make of this one. Node's parser, its request and
 * its response are most of what a hot row costs (`docs/adr/0038-alike-requests-pass-by-the-parser.md`).
 *
 *     "GET " target " HTTP/1.1\r\nhost: ...\r\n...\r\n\r\n"
 *                   \_______________ known ______________/
 *
 * Nothing is concluded that is not proved:
 *
 * - the known part is kept only where Node's parser made exactly one request of exactly one chunk, and that request, written out again
 *   from its method, target, version and headers, is the chunk byte for byte. So the parser was between two messages before and
 *   is after, since a GET without a length has no body;
 * - it is used only for a whole chunk that is `GET `, a target of plain characters without a space, and the known part, while no
 *   answer is under way or unwritten on that connection. The parser does not see it and stays between two messages;
 * - whatever else comes, in part or in whole, goes to Node's parser as it came, and unless that proves it anew nothing is known then.
 *
 * The socket stays Node's, with its time-outs, its errors and its place among the server's connections. Its only listener of `data`, which is
 * the parser's, is called by ours: to whoever listens to a socket under its server Node gives the data that its parser took from the
 * system itself before. Where the parser's listener is not there, or not alone, a connection is left as it is.
 */

import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { headerLines } from './reply-headers.ts';
import { type NodeHeaders, SocketReply } from './socket-reply.ts';

/** Longer requests go the usual way. */
const BYTES_MAX = 4096;
const METHOD = 'GET ';
const VERSION = ' HTTP/1.1\r\n';
/** What a target may consist of here: of the characters of URLs those that no parser has doubts about. */
const PLAIN_TARGET = /^\/[\w\-.~!$&'()*+,;=:@%/?]*$/;
/** Headers by which a request is more than its target and what the handlers read of its headers. */
const LASTING = [
  'content-length',
  'transfer-encoding',
  'expect',
  'upgrade',
  'te',
  'trailer',
  'http2-settings',
] as const;

/** A request on such a connection; the same object for each. */
export interface AlikeRequest {
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly reply: SocketReply;
  /** Has Node's parser read it, and the server's other way answer it. */
  readonly passOn: () => void;
}

export interface AlikeHandler {
  /** Answers at the end of the turn, or passes on; false where it does neither. */
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
      this.#parsing = connection;
      try {
        onData.call(socket, chunk);
      } finally {
        this.#parsing = undefined;
      }
    };
    const connection = new Connection(socket, parse, new SocketReply(socket, this.#ofNode));
    socket.on('data', (chunk: Buffer) => this.#onChunk(connection, chunk));
    socket.removeListener('data', onData);
  }

  /** To be called with each request that Node's parser has read; true where it was looked at by the handler before. */
  parsed(request: IncomingMessage, response: ServerResponse): boolean {
    return this.#parsing?.parsed(request, response) ?? false;
  }

  #onChunk(connection: Connection, chunk: Buffer): void {
    // What came before is answered before.
    if (connection.isWaiting) this.#handler.answerTurn();
    if (this.#isLeaving(connection.socket) || !connection.recognizes(chunk)) connection.read(chunk);
    else if (!this.#handler.serveAlike(connection)) connection.passOn();
  }
}

class Connection implements AlikeRequest {
  readonly socket: Socket;
  readonly reply: SocketReply;
  readonly #parse: (connection: Connection, chunk: Buffer) => void;
  /** From the end of the target on; empty where nothing is known. */
  #known = '';
  headers: IncomingHttpHeaders = {};
  url = '';
  /** The request that is to be answered, or was last. */
  #chunk: Buffer | undefined = undefined;
  /** What Node's parser made of the chunk that it is given. */
  #requests: IncomingMessage[] = [];
  #isPassedOn = false;
  /** Answers of Node's that are not out. */
  #underWay = 0;
  readonly #onClose = () => {
    this.#underWay -= 1;
  };

  constructor(socket: Socket, parse: (connection: Connection, chunk: Buffer) => void, reply: SocketReply) {
    this.socket = socket;
    this.#parse = parse;
    this.reply = reply;
  }

  /** Whether a request is neither answered nor passed on. */
  get isWaiting(): boolean {
    return this.#chunk !== undefined && !this.reply.writableEnded;
  }

  /** Whether the chunk is a request like the last, which this then is. */
  recognizes(chunk: Buffer): boolean {
    const known = this.#known;
    if (known === '' || this.#underWay > 0 || this.socket.writableLength > 0 || chunk.length > BYTES_MAX) return false;
    const text = chunk.toString('latin1');
    if (!text.startsWith(METHOD) || !text.endsWith(known)) return false;
    const target = text.slice(METHOD.length, text.length - known.length);
    if (!PLAIN_TARGET.test(target)) return false;
    this.url = target;
    this.#chunk = chunk;
    this.reply.begin();
    return true;
  }

  readonly passOn = (): void => {
    const chunk = this.#chunk;
    this.#chunk = undefined;
    this.#isPassedOn = true;
    if (chunk !== undefined) this.read(chunk);
    this.#isPassedOn = false;
  };

  /** By Node's parser. */
  read(chunk: Buffer): void {
    this.#known = '';
    // A client that is gone, or wants no answer.
    if (!this.socket.writable) return;
    this.#requests = [];
    this.#parse(this, chunk);
    const [request, ...others] = this.#requests;
    if (request === undefined || others.length > 0 || chunk.length > BYTES_MAX) return;
    this.#known = knownPart(chunk.toString('latin1'), request);
    this.headers = request.headers;
  }

  /** What Node's parser has made of the chunk; true where that was passed on. */
  parsed(request: IncomingMessage, response: ServerResponse): boolean {
    this.#requests.push(request);
    this.#underWay += 1;
    response.once('close', this.#onClose);
    return this.#isPassedOn;
  }
}

/** Of a request's text what follows the target, where that is to be taken for known; else nothing. */
function knownPart(text: string, { method, url = '', httpVersion, headers, rawHeaders }: IncomingMessage): string {
  if (method !== 'GET' || httpVersion !== '1.1') return '';
  if (LASTING.some((name) => headers[name] !== undefined) || !/^keep-alive$/i.test(headers.connection ?? 'keep-alive'))
    return '';
  const known = `${VERSION}${headerLines(rawHeaders)}\r\n`;
  return text === `${METHOD}${url}${known}` ? known : '';
}
