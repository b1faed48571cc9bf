/**
 * Globs over keys: `*` and `?` within one part of a path, `**` as a part of its own for any number of parts.
 *
 * Keys come in millions and patterns from users, so matching takes time in proportion to pattern times key, whatever
 * either looks like: there is no backtracking. A wildcard at the start of a part does not match what is hidden, so that
 * `**` finds in a folder what naming the folder finds; a pattern that says the `_` or `.` itself does match it.
 */

import { isHiddenPart } from './hidden-part.ts';

/** One part of a pattern, between slashes. Tokens keep `*` of a wildcard apart from a `*` that stands for itself. */
type Token = { readonly kind: 'literal'; readonly text: string } | { readonly kind: 'any' } | { readonly kind: 'one' };
type PatternPart = { readonly kind: 'deep' } | { readonly kind: 'part'; readonly tokens: readonly Token[] };

export interface Glob {
  /** The longest start without wildcards that ends at a slash: what has to be listed. */
  readonly prefix: string;
  readonly parts: readonly PatternPart[];
}

/** `decodeText` turns the text between wildcards into what it stands for, in notations that have escapes. */
export function parseGlob(pattern: string, decodeText: (text: string) => string = (text) => text): Glob {
  const firstWildcard = pattern.search(/[*?]/);
  const literal = firstWildcard < 0 ? pattern : pattern.slice(0, firstWildcard);
  const prefix = decodeText(literal.slice(0, literal.lastIndexOf('/') + 1));
  const parts = pattern.split('/').map((part): PatternPart => {
    if (part === '**') return { kind: 'deep' };
    const pieces = part.match(/[*]+|[?]|[^*?]+/g) ?? [];
    return { kind: 'part', tokens: pieces.flatMap((piece) => tokensOf(piece, decodeText)) };
  });
  return { prefix, parts };
}

export function hasWildcard(text: string): boolean {
  return /[*?]/.test(text);
}

/** Whether the whole key matches. */
export function matchesGlob(glob: Glob, key: string): boolean {
  const names = key.split('/');
  return matchStars(glob.parts, names, isDeep, (part, name, index) => {
    const isFile = index === names.length - 1;
    return part.kind === 'deep' ? !isHiddenPart(name, isFile) : matchesPart(part.tokens, name, isFile);
  });
}

function tokensOf(piece: string, decodeText: (text: string) => string): Token[] {
  if (piece.startsWith('*')) return [{ kind: 'any' }];
  if (piece === '?') return [{ kind: 'one' }];
  // One token a character (not a code unit), so that `?` and text are matched alike.
  return [...decodeText(piece)].map((text) => ({ kind: 'literal', text }));
}

function matchesPart(tokens: readonly Token[], name: string, isFile: boolean): boolean {
  const [first] = tokens;
  if (first !== undefined && first.kind !== 'literal' && isHiddenPart(name, isFile)) return false;
  return matchStars(
    tokens,
    [...name],
    isAny,
    (token, character) => token.kind !== 'literal' || token.text === character,
  );
}

function isDeep(part: PatternPart): boolean {
  return part.kind === 'deep';
}

function isAny(token: Token): boolean {
  return token.kind === 'any';
}

/**
 * Matches a whole sequence against a pattern in which some elements, the stars, take any run of items that they match
 * one by one. All positions in the pattern that the items so far can have led to are carried along together.
 */
function matchStars<P, T>(
  pattern: readonly P[],
  items: readonly T[],
  isStar: (element: P) => boolean,
  matches: (element: P, item: T, index: number) => boolean,
): boolean {
  let reached = passStars(new Set([0]), pattern, isStar);
  for (const [index, item] of items.entries()) {
    const next = new Set<number>();
    for (const position of reached) {
      const element = pattern[position];
      if (element !== undefined && matches(element, item, index)) next.add(isStar(element) ? position : position + 1);
    }
    if (next.size === 0) return false;
    reached = passStars(next, pattern, isStar);
  }
  return reached.has(pattern.length);
}

/** A star may also take nothing. The set grows while it is walked, so runs of stars are passed too. */
function passStars<P>(reached: Set<number>, pattern: readonly P[], isStar: (element: P) => boolean): Set<number> {
  for (const position of reached) {
    const element = pattern[position];
    if (element !== undefined && isStar(element)) reached.add(position + 1);
  }
  return reached;
}
