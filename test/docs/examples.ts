/**
 * What the documents show: a fence `sh` with one curl, then a fence with its answer.
 *
 * In an answer `…` stands for anything: as a JSON value, as a last element for further ones, as a member for further
 * members; in text, for any run of characters. All else must be exactly so, digits of integers and order of members too.
 */

export interface Example {
  /** Of the command's fence, from 1. */
  readonly line: number;
  readonly command: string;
  readonly answer: Fence;
}

export interface Fence {
  readonly language: string;
  readonly text: string;
  readonly line: number;
}

const ANYTHING = '…';
const ANSWERS = ['json', 'text', 'http'];

export function fencesOf(markdown: string): readonly Fence[] {
  const fences: Fence[] = [];
  let open: { readonly language: string; readonly line: number; readonly lines: string[] } | undefined;
  for (const [at, line] of markdown.split('\n').entries()) {
    const mark = /^```(\w*)$/.exec(line);
    if (mark === null) open?.lines.push(line);
    else if (open === undefined) open = { language: mark[1] ?? '', line: at + 1, lines: [] };
    else {
      fences.push({ language: open.language, text: open.lines.join('\n'), line: open.line });
      open = undefined;
    }
  }
  if (open !== undefined) throw new Error(`the fence of line ${open.line} is never closed`);
  return fences;
}

/** Throws when a curl shows no answer or an answer follows no curl, so that nothing is passed over. */
export function examplesOf(markdown: string): readonly Example[] {
  const fences = fencesOf(markdown);
  const examples: Example[] = [];
  for (const [i, fence] of fences.entries()) {
    const isCurl = fence.language === 'sh' && fence.text.startsWith('curl ');
    const next = fences[i + 1];
    const answer = next !== undefined && ANSWERS.includes(next.language) ? next : undefined;
    if (isCurl && answer === undefined) throw new Error(`the curl of line ${fence.line} shows no answer`);
    if (isCurl && answer !== undefined) examples.push({ line: fence.line, command: fence.text, answer });
  }
  const shown = fences.filter(({ language }) => ANSWERS.includes(language)).length;
  if (shown !== examples.length) throw new Error(`${shown} answers are shown for ${examples.length} commands`);
  return examples;
}

/** Where the answer differs from what is shown, or undefined. */
export function difference({ language, text }: Fence, actual: string): string | undefined {
  if (language === 'http') return httpDifference(text, actual);
  return language === 'json' ? jsonDifference(text, actual) : textDifference(text, actual);
}

function httpDifference(shown: string, actual: string): string | undefined {
  const [shownHead = '', ...shownBody] = shown.split('\n\n');
  const [head = '', ...body] = actual.replaceAll('\r\n', '\n').split('\n\n');
  const shownText = shownBody.join('\n\n');
  const bodyText = body.join('\n\n');
  return (
    textDifference(shownHead, head) ??
    (shownText.startsWith('{') ? jsonDifference(shownText, bodyText) : textDifference(shownText, bodyText))
  );
}

function textDifference(shown: string, actual: string): string | undefined {
  const pattern = shown
    .trimEnd()
    .split(ANYTHING)
    .map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
    .join('.+');
  return new RegExp(`^${pattern}$`).test(actual.trimEnd()) ? undefined : `shown:\n${shown}\nanswered:\n${actual}`;
}

function jsonDifference(shown: string, actual: string): string | undefined {
  return valueDifference(parseExactly(shown), parseExactly(actual), '$');
}

/** Numbers as their own text. */
function parseExactly(text: string): unknown {
  const exact = (_key: string, value: unknown, context?: { readonly source?: string }) =>
    typeof value === 'number' ? { number: context?.source } : value;
  return JSON.parse(text, exact);
}

function valueDifference(shown: unknown, actual: unknown, path: string): string | undefined {
  if (shown === ANYTHING) return undefined;
  if (Array.isArray(shown) && Array.isArray(actual)) return elementsDifference(shown, actual, path);
  if (isObject(shown) && isObject(actual)) return membersDifference(shown, actual, path);
  if (shown === actual) return undefined;
  return `${path}: shown ${JSON.stringify(shown)}, answered ${JSON.stringify(actual)}`;
}

function elementsDifference(shown: readonly unknown[], actual: readonly unknown[], path: string): string | undefined {
  const more = shown.at(-1) === ANYTHING;
  const named = more ? shown.slice(0, -1) : shown;
  if (more ? actual.length <= named.length : actual.length !== named.length) {
    return `${path}: ${named.length} elements are shown, ${actual.length} answered`;
  }
  return firstDefined(named.map((value, i) => valueDifference(value, actual[i], `${path}[${i}]`)));
}

function membersDifference(
  shown: Readonly<Record<string, unknown>>,
  actual: Readonly<Record<string, unknown>>,
  path: string,
): string | undefined {
  const named = Object.keys(shown).filter((name) => name !== ANYTHING);
  const answered = Object.keys(actual).filter((name) => !(ANYTHING in shown) || named.includes(name));
  if (named.join() !== answered.join()) return `${path}: members ${named} are shown, ${Object.keys(actual)} answered`;
  return firstDefined(named.map((name) => valueDifference(shown[name], actual[name], `${path}.${name}`)));
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function firstDefined(differences: readonly (string | undefined)[]): string | undefined {
  return differences.find((found) => found !== undefined);
}
