/**
 * Reads WordNet's `data.*` files, one synset a line (https://wordnet.princeton.edu/documentation/wndb5wn):
 *
 *     offset lex_filenum ss_type w_cnt word lex_id [word lex_id...] p_cnt [ptr...] [frames...] | gloss
 *
 * with w_cnt in hexadecimal and p_cnt in decimal. An offset is unique within its file only, hence the letter of the
 * file before it.
 */

export interface Synset {
  /** `n00001740`: letter of the file and offset. */
  readonly synsetId: string;
  readonly partOfSpeech: string;
  readonly lexname: string;
  readonly lemmas: readonly string[];
  readonly pointersCount: number;
  readonly gloss: string;
  readonly examples: readonly string[];
}

/** The lexicographer files by number, from lexnames(5WN). */
const lexnames = [
  ...['adj.all', 'adj.pert', 'adv.all', 'noun.Tops', 'noun.act', 'noun.animal', 'noun.artifact', 'noun.attribute'],
  ...['noun.body', 'noun.cognition', 'noun.communication', 'noun.event', 'noun.feeling', 'noun.food', 'noun.group'],
  ...['noun.location', 'noun.motive', 'noun.object', 'noun.person', 'noun.phenomenon', 'noun.plant'],
  ...['noun.possession', 'noun.process', 'noun.quantity', 'noun.relation', 'noun.shape', 'noun.state'],
  ...['noun.substance', 'noun.time', 'verb.body', 'verb.change', 'verb.cognition', 'verb.communication'],
  ...['verb.competition', 'verb.consumption', 'verb.contact', 'verb.creation', 'verb.emotion', 'verb.motion'],
  ...['verb.perception', 'verb.possession', 'verb.social', 'verb.stative', 'verb.weather', 'adj.ppl'],
];

const partsOfSpeech: ReadonlyMap<string, string> = new Map([
  ['n', 'noun'],
  ['v', 'verb'],
  ['a', 'adjective'],
  ['s', 'adjective satellite'],
  ['r', 'adverb'],
]);

/** Every synset of one file; lines that start with a space are the licence. */
export function parseSynsets(text: string, fileLetter: 'n' | 'v' | 'a' | 'r'): Synset[] {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith(' '));
  return lines.map((line) => parseSynset(line, fileLetter));
}

function parseSynset(line: string, fileLetter: string): Synset {
  const bar = line.indexOf(' | ');
  if (bar < 0) throw new Error(`expected a gloss after " | " in the synset ${JSON.stringify(line.slice(0, 60))}`);
  const [offset = '', lexFile = '', type = '', wordCount = '', ...rest] = line.slice(0, bar).split(' ');
  const words = Number.parseInt(wordCount, 16);
  const partOfSpeech = partsOfSpeech.get(type);
  const lexname = lexnames[Number(lexFile)];
  if (!/^\d{8}$/.test(offset) || partOfSpeech === undefined || lexname === undefined || !(words > 0)) {
    throw new Error(`expected "offset lex_filenum ss_type w_cnt ..." in ${JSON.stringify(line.slice(0, 60))}`);
  }
  const gloss = line.slice(bar + ' | '.length).trim();
  return {
    synsetId: `${fileLetter}${offset}`,
    partOfSpeech,
    lexname,
    lemmas: Array.from({ length: words }, (_, i) => lemma(rest[2 * i] ?? '')),
    pointersCount: Number.parseInt(rest[2 * words] ?? '', 10),
    gloss,
    examples: [...gloss.matchAll(/"([^"]+)"/g)].map((match) => (match[1] ?? '').trim()),
  };
}

/** Underscores stand for spaces; adjectives may carry a marker of position, such as `(p)`. */
function lemma(word: string): string {
  return word.replace(/\((?:a|p|ip)\)$/, '').replaceAll('_', ' ');
}
