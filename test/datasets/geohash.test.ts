import assert from 'node:assert/strict';
import { test } from 'node:test';
import { geohash } from '../../datasets/geohash.ts';

test('the geohashes that the encoding is usually explained with', () => {
  assert.equal(geohash(57.64911, 10.40744, 11), 'u4pruydqqvj');
  assert.equal(geohash(42.605, -5.603, 5), 'ezs42');
});

test('the corners of the world', () => {
  assert.equal(geohash(-90, -180, 4), '0000');
  assert.equal(geohash(90, 180, 4), 'zzzz');
});
