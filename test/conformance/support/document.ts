/** `docs/conformance.md`, made from what was measured: `node scripts/conformance.ts` writes it, a test compares it. */

import { readFileSync } from 'node:fs';
import { type Agreement, corpusEntries, isParquet, measure, type OracleName, type Outcome, pathOf } from './corpus.ts';
import { metadataOf } from './hyparquet-oracle.ts';
import { DISAGREEMENTS, OTHER_ENTRIES, READABLE_BAD, refusalOf } from './rules.ts';

export const DOCUMENT = new URL('../../../docs/conformance.md', import.meta.url);

export async function measureAll(): Promise<ReadonlyMap<string, Outcome>> {
  const outcomes = new Map<string, Outcome>();
  for (const name of corpusEntries()) if (isParquet(name)) outcomes.set(name, await measure(pathOf(name)));
  return outcomes;
}

export function conformanceDocument(outcomes: ReadonlyMap<string, Outcome>): string {
  const read = [...outcomes.values()].filter((outcome) => outcome.kind === 'read');
  const refused = outcomes.size - read.length;
  return `${[
    '# Conformance',
    '',
    'What Pointlake makes of the files that the Parquet project publishes to test readers with,',
    '[parquet-testing](https://github.com/apache/parquet-testing). `node scripts/conformance.ts` writes this page; a test',
    'fails where it is out of date, where a file has no row here, and where a row no longer holds.',
    '',
    `${outcomes.size} files: ${read.length} read, ${refused} refused. Every value of every file that is read was compared, in the`,
    'JSON form that users get, with DuckDB, with parquet-wasm (the Rust reader) and with hyparquet, and with the values',
    'that the corpus documents, where it does. Every searchable column is then the key of a table (of three files of thousands',
    'of pages a part of them in each run of the tests, and all in a long one): each of its distinct values (2,000 of them, drawn',
    'at random, where there are more) is looked up, cold and from memory, and gives exactly the rows that a full read has it in,',
    'of which tables of more than five columns answer five; values beside them give `not_found`.',
    '',
    '## Files',
    '',
    ...table(['file', 'rows', 'answer', 'note'], [...outcomes].map(fileRow)),
    '',
    '“Flat columns of hyparquet”: its nested columns are not compared, since it gives maps and lists another form.',
    '',
    '## What else lies there',
    '',
    ...table(
      ['file', ''],
      corpusEntries()
        .filter((name) => !isParquet(name))
        .map((name) => [code(name), OTHER_ENTRIES[name] ?? '']),
    ),
    '',
    ...featureSections([...outcomes].filter(([, outcome]) => outcome.kind === 'read').map(([name]) => name)),
    ...REFUSED_FEATURES,
  ].join('\n')}\n`;
}

function fileRow([name, outcome]: [string, Outcome]): string[] {
  if (outcome.kind === 'refused') {
    return [code(name), '', `refused: ${code(outcome.code)}`, refusalOf(name)?.why ?? ''];
  }
  const notes = [READABLE_BAD[name], ...Object.values(DISAGREEMENTS[name] ?? {})].filter((note) => note !== undefined);
  return [code(name), String(outcome.rows), `same as ${sameAs(outcome.agreements).join(', ')}`, notes.join('; ')];
}

function sameAs(agreements: ReadonlyMap<OracleName, Agreement>): string[] {
  return [...agreements].flatMap(([oracle, { kind }]) => {
    if (kind === 'same') return [oracle === 'documented' ? 'the values documented' : oracle];
    return kind === 'flat' ? [`flat columns of ${oracle}`] : [];
  });
}

/** How many of the files that are read have each feature, as their footers say. */
function featureSections(names: readonly string[]): string[] {
  const types = new Map<string, Set<string>>();
  const encodings = new Map<string, Set<string>>();
  const codecs = new Map<string, Set<string>>();
  const count = (features: Map<string, Set<string>>, feature: string, name: string) =>
    features.set(feature, (features.get(feature) ?? new Set()).add(name));
  for (const name of names) {
    const metadata = metadataOf(new Uint8Array(readFileSync(pathOf(name))));
    for (const element of metadata.schema.slice(1)) {
      const annotation = element.logical_type?.type ?? element.converted_type;
      count(types, [element.type ?? 'group', annotation].filter((part) => part !== undefined).join(' '), name);
    }
    for (const { meta_data: chunk } of metadata.row_groups.flatMap((rowGroup) => rowGroup.columns)) {
      if (chunk === undefined) continue;
      count(codecs, chunk.codec, name);
      for (const encoding of chunk.encodings) count(encodings, encoding, name);
    }
  }
  return [
    '## What these files have',
    '',
    'By their footers, of the files that are read. `DATE`, `TIME`, `UUID`, `INTERVAL`, BROTLI and others that no file here',
    'has are tested on files that other implementations write for the tests.',
    '',
    ...featureTable('type', types),
    '',
    ...featureTable('encoding', encodings),
    '',
    ...featureTable('codec', codecs),
    '',
  ];
}

function featureTable(title: string, features: ReadonlyMap<string, ReadonlySet<string>>): string[] {
  const rows = [...features].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, files]) => [name, String(files.size)]);
  return table([title, 'files'], rows);
}

const REFUSED_FEATURES = [
  '## What is refused',
  '',
  'Each with `unsupported`, naming the feature and, where it is one column, the column; the others are then still',
  'answered when they are asked for by name.',
  '',
  '- encrypted files, with their footer in plain or not',
  '- the codec LZO',
  '- encodings and page types that the format does not name',
  '- a page of more than 256 MiB when decompressed, and row groups of more than 2^31 - 1 rows',
  '- annotations that do not fit the physical type that they are on',
  '',
  'Damage is `corrupt`, naming file, row group, column and page: counts and lengths that the bytes do not bear out, pages',
  'whose CRC is wrong (the check can be switched off), levels that make no rows, data that a codec cannot decompress.',
];

function code(text: string): string {
  return `\`${text}\``;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((title, i) => Math.max(3, title.length, ...rows.map((row) => (row[i] ?? '').length)));
  const line = (cells: readonly string[]) => `| ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)];
}
