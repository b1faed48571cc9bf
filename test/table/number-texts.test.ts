/** Texts of numbers leave nothing behind that V8 frees only when it collects all of its heap. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { jsonText } from '../../src/table/json-format.ts';
import { oldBytes } from '../support/old-generation.ts';

const NUMBERS = 10_000;

function bytesANumber(textOf: (number: number) => string): number {
  let length = 0;
  for (let i = 0; i < NUMBERS; i++) length += textOf(Math.sin(i)).length;
  const before = oldBytes();
  for (let i = NUMBERS; i < 2 * NUMBERS; i++) length += textOf(Math.sin(i)).length;
  assert.ok(length > 2 * NUMBERS * 10, `${length} characters`);
  return (oldBytes() - before) / NUMBERS;
}

test('the text of a number is gone with its request', () => {
  const bytes = bytesANumber(jsonText);
  assert.ok(bytes < 4, `${bytes.toFixed(1)} bytes of each stay`);
});

test('texts that are made in another way are not, which is what this would show', () => {
  const bytes = bytesANumber(String);
  assert.ok(bytes > 20, `${bytes.toFixed(1)} bytes of each stay`);
});
