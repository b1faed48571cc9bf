/**
 * JSON from callers, with numbers exactly as they wrote them.
 *
 * `JSON.parse` rounds 9007199254740993 to a double and forgets that `1.0` was not `1`; both would look up the wrong key or
 * accept a form that is none. A number whose text JavaScript would print otherwise becomes an `ExactNumber` here, all
 * others stay plain. A first pass over the text, which skips strings at native speed, decides whether the slow way is
 * needed, bounds the depth (reviving recurses), and finds nothing to do for most bodies.
 */

import { ServiceError } from '../core/index.ts';

/** A JSON number whose source text matters. */
export class ExactNumber {
  readonly source: string;

  constructor(source: string) {
    this.source = source;
  }
}

export type JsonScalar = string | number | boolean | null | ExactNumber;

const MAX_DEPTH = 64;
const MAX_CHARACTERS = 64 * 1024 * 1024;

export function parseExactJson(text: string): unknown {
  if (text.length > MAX_CHARACTERS) throw badJson(`the JSON text has more than ${MAX_CHARACTERS} characters`, text, 0);
  const { inexact, tooDeepAt } = survey(text);
  if (tooDeepAt >= 0) throw badJson(`the JSON text is nested deeper than ${MAX_DEPTH} levels`, text, tooDeepAt);
  try {
    return inexact ? JSON.parse(text, reviveExact) : JSON.parse(text);
  } catch (cause) {
    throw badJson('the text is not valid JSON', text, firstFault(text), cause);
  }
}

function badJson(what: string, text: string, position: number, cause?: unknown): ServiceError {
  const before = text.slice(0, position);
  const line = before.split('\n').length;
  const column = position - before.lastIndexOf('\n');
  const found = position < text.length ? JSON.stringify(text.slice(position, position + 20)) : 'the end of the text';
  const message = `${what}: position ${position} (line ${line}, column ${column}) has ${found}`;
  return new ServiceError('invalid', 'bad_json', message, { position, line, columnNumber: column }, cause);
}

/** `context.source` is the text of a primitive (https://tc39.es/proposal-json-parse-with-source/). */
function reviveExact(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  if (typeof value !== 'number' || context?.source === undefined) return value;
  return String(value) === context.source ? value : new ExactNumber(context.source);
}

interface Survey {
  /** Some number outside the strings is no plain integer of at most 15 digits. */
  readonly inexact: boolean;
  /** Where the depth passes its bound, or -1. */
  readonly tooDeepAt: number;
}

function survey(text: string): Survey {
  let inexact = false;
  let depth = 0;
  let i = 0;
  while (i < text.length) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) {
      i = endOfString(text, i);
    } else if (code === MINUS || (code >= ZERO && code <= NINE)) {
      const end = endOfNumber(text, i);
      inexact ||= !isPlainInteger(text, i, end);
      i = end;
    } else {
      if (code === OPEN_BRACKET || code === OPEN_BRACE) depth += 1;
      else if (code === CLOSE_BRACKET || code === CLOSE_BRACE) depth -= 1;
      if (depth > MAX_DEPTH) return { inexact, tooDeepAt: i };
      i += 1;
    }
  }
  return { inexact, tooDeepAt: -1 };
}

const QUOTE = 0x22;
const MINUS = 0x2d;
const ZERO = 0x30;
const NINE = 0x39;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** The position after the string that opens at `start`; the end of the text when it never closes. */
function endOfString(text: string, start: number): number {
  let close = text.indexOf('"', start + 1);
  while (close >= 0 && isEscaped(text, close, start)) close = text.indexOf('"', close + 1);
  return close < 0 ? text.length : close + 1;
}

function isEscaped(text: string, position: number, start: number): boolean {
  let backslashes = 0;
  for (let i = position - 1; i > start && text.charCodeAt(i) === BACKSLASH; i -= 1) backslashes += 1;
  return backslashes % 2 === 1;
}

/** Digits, signs, points and exponents, whether or not they make a number: only what is inexact matters here. */
function endOfNumber(text: string, start: number): number {
  let i = start + 1;
  while (i < text.length) {
    const code = text.charCodeAt(i);
    const goesOn =
      (code >= ZERO && code <= NINE) || code === 0x2e || code === 0x2b || code === MINUS || (code | 0x20) === 0x65;
    if (!goesOn) return i;
    i += 1;
  }
  return i;
}

function isPlainInteger(text: string, start: number, end: number): boolean {
  const digitsAt = text.charCodeAt(start) === MINUS ? start + 1 : start;
  if (end - digitsAt > 15 || (digitsAt > start && text.charCodeAt(digitsAt) === ZERO)) return false;
  for (let i = digitsAt; i < end; i += 1) {
    const code = text.charCodeAt(i);
    if (code < ZERO || code > NINE) return false;
  }
  return true;
}

/**
 * Where the first thing stands that JSON does not allow there; the engine's own message says so for some faults only.
 * What may come next is a set of letters: `v` a value, `k` a member's name, and the punctuation itself.
 */
function firstFault(text: string): number {
  const open: string[] = [];
  let allowed = 'v';
  for (let at = skipSpace(text, 0); at < text.length; at = skipSpace(text, at)) {
    const token = readToken(text, at);
    const kind = token.kind === 's' ? (allowed.includes('k') ? 'k' : 'v') : token.kind;
    const opens = kind === '[' || kind === '{';
    if (!allowed.includes(opens ? 'v' : kind)) return at;
    if (token.faultAt !== undefined) return token.faultAt;
    if (opens) open.push(kind);
    else if (kind === ']' || kind === '}') open.pop();
    allowed = nextAllowed(kind, open.at(-1));
    at = token.end;
  }
  return text.length;
}

function skipSpace(text: string, start: number): number {
  let i = start;
  while (i < text.length && ' \t\n\r'.includes(text.charAt(i))) i += 1;
  return i;
}

interface Token {
  /** `s` a string, `v` another scalar, else the punctuation; `?` is nothing of JSON. */
  readonly kind: string;
  readonly end: number;
  /** Where a string has what no string may have. */
  readonly faultAt?: number | undefined;
}

const SCALAR = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null/y;

function readToken(text: string, at: number): Token {
  const first = text.charAt(at);
  if ('[]{},:'.includes(first)) return { kind: first, end: at + 1 };
  if (first === '"') return readString(text, at);
  SCALAR.lastIndex = at;
  const match = SCALAR.exec(text);
  return match === null ? { kind: '?', end: at } : { kind: 'v', end: at + match[0].length };
}

const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;

function readString(text: string, start: number): Token {
  let i = start + 1;
  while (i < text.length) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) return { kind: 's', end: i + 1 };
    ESCAPE.lastIndex = i;
    const length = code === BACKSLASH ? (ESCAPE.exec(text)?.[0].length ?? 0) : 1;
    if (code < 0x20 || length === 0) break;
    i += length;
  }
  return { kind: 's', end: i, faultAt: i };
}

function nextAllowed(kind: string, container: string | undefined): string {
  if (kind === '[') return 'v]';
  if (kind === '{') return 'k}';
  if (kind === 'k') return ':';
  if (kind === ':') return 'v';
  if (kind === ',') return container === '{' ? 'k' : 'v';
  if (container === undefined) return '';
  return container === '[' ? ',]' : ',}';
}
