import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSynsets } from '../../datasets/wordnet.ts';

test('a synset line gives its lemmas, pointers, gloss and examples', () => {
  const text = [
    '  1 This software and database is being provided to you',
    '00001740 29 v 02 breathe 0 take_a_breath 0 001 * 00005041 v 0000 02 + 02 00 + 08 00 | draw air; "I can breathe"; "breathe out"  ',
    '',
  ].join('\n');
  assert.deepEqual(parseSynsets(text, 'v'), [
    {
      synsetId: 'v00001740',
      partOfSpeech: 'verb',
      lexname: 'verb.body',
      lemmas: ['breathe', 'take a breath'],
      pointersCount: 1,
      gloss: 'draw air; "I can breathe"; "breathe out"',
      examples: ['I can breathe', 'breathe out'],
    },
  ]);
});

test('word counts are hexadecimal and an adjective loses its marker of position', () => {
  const words = Array.from({ length: 16 }, (_, i) => `word${i}(p) 0`).join(' ');
  const [synset] = parseSynsets(`00000001 00 s 10 ${words} 000 | many`, 'a');
  assert.equal(synset?.lemmas.length, 16);
  assert.equal(synset?.lemmas[15], 'word15');
  assert.equal(synset?.partOfSpeech, 'adjective satellite');
});

test('a line of another form is refused with what was expected', () => {
  assert.throws(() => parseSynsets('00001740 03 n 01 entity 0 000', 'n'), /expected a gloss after " \| "/);
  assert.throws(() => parseSynsets('1740 03 n 01 entity 0 000 | x', 'n'), /expected "offset lex_filenum/);
  assert.throws(() => parseSynsets('00001740 03 x 01 entity 0 000 | x', 'n'), /expected "offset lex_filenum/);
});
