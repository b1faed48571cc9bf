import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  formatDate,
  formatLongTime,
  formatLongTimestamp,
  formatTime,
  formatTimestamp,
  parseDate,
  parseTime,
  parseTimestamp,
} from '../../src/table/calendar.ts';

const MS_PER_DAY = 86_400_000;

test('dates agree with Date over all that Date holds', () => {
  fc.assert(
    fc.property(fc.integer({ min: -100_000_000, max: 100_000_000 }), (days) => {
      const expected = new Date(days * MS_PER_DAY).toISOString().replace(/T.*/, '');
      assert.equal(formatDate(days), expected);
      assert.equal(parseDate(expected), days);
    }),
  );
});

test('the whole of INT32 days reads back', () => {
  fc.assert(
    fc.property(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), (days) => {
      assert.equal(parseDate(formatDate(days)), days);
    }),
  );
  assert.equal(formatDate(2 ** 31 - 1), '+5881580-07-11');
  assert.equal(formatDate(-719_528), '0000-01-01');
  assert.equal(formatDate(-719_529), '-000001-12-31');
  assert.equal(formatDate(2_932_897), '+010000-01-01');
});

test('what is no date is none', () => {
  for (const text of ['2026-02-29', '1900-02-29', '2026-13-01', '2026-00-10', '2026-04-31', '2026-1-1', '20260131']) {
    assert.equal(parseDate(text), undefined, text);
  }
  for (const text of ['', '-000000-01-01', '12345-01-01', '2026-01-31 ', '2026-01-31T00:00:00']) {
    assert.equal(parseDate(text), undefined, text);
  }
  assert.equal(parseDate('2024-02-29'), 19_782);
  assert.equal(parseDate('2000-02-29'), 11_016);
});

test('timestamps in milliseconds agree with Date', () => {
  fc.assert(
    fc.property(fc.integer({ min: -8_640_000_000_000_000, max: 8_640_000_000_000_000 }), (ms) => {
      const expected = new Date(ms).toISOString();
      assert.equal(`${formatTimestamp(ms, 'MILLIS')}Z`, expected);
      assert.equal(parseTimestamp(expected, 'MILLIS', true), BigInt(ms));
    }),
  );
});

test('timestamps of every unit read back over all 64 bits', () => {
  for (const unit of ['MILLIS', 'MICROS', 'NANOS'] as const) {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (units) => {
        assert.equal(parseTimestamp(formatLongTimestamp(units, unit), unit, false), units);
      }),
    );
  }
});

test('a fine timestamp is the coarse one with more digits', () => {
  fc.assert(
    fc.property(fc.integer({ min: -9_000_000_000_000, max: 9_000_000_000_000 }), fc.nat(999_999), (ms, nanos) => {
      const digits = String(nanos).padStart(6, '0');
      const units = BigInt(ms) * 1_000_000n + BigInt(nanos);
      assert.equal(formatLongTimestamp(units, 'NANOS'), new Date(ms).toISOString().replace('Z', digits));
    }),
  );
  assert.equal(formatTimestamp(-1, 'MICROS'), '1969-12-31T23:59:59.999999');
});

test('the moment before midnight stays on its day far from the epoch', () => {
  const perDay = 86_400_000;
  for (const day of [104_249_991, -104_249_990, 50_000_001]) {
    assert.equal(formatTimestamp(day * perDay - 1, 'MILLIS'), `${formatDate(day - 1)}T23:59:59.999`);
  }
});

test('instants need a zone and local times take none', () => {
  assert.equal(parseTimestamp('2026-01-31T12:00:00', 'MILLIS', true), undefined);
  assert.equal(parseTimestamp('2026-01-31T12:00:00Z', 'MILLIS', false), undefined);
  const noon = BigInt(Date.UTC(2026, 0, 31, 12));
  assert.equal(parseTimestamp('2026-01-31T12:00:00', 'MILLIS', false), noon);
  assert.equal(parseTimestamp('2026-01-31T14:30:00+02:30', 'MILLIS', true), noon);
  assert.equal(parseTimestamp('2026-01-31T09:00:00.000000-03:00', 'MILLIS', true), noon);
  assert.equal(parseTimestamp('2026-01-31T12:00:00.0001Z', 'MILLIS', true), undefined);
  for (const text of ['2026-01-31T24:00:00Z', '2026-01-31T12:60:00Z', '2026-01-31t12:00:00Z', '2026-01-31T12:00Z']) {
    assert.equal(parseTimestamp(text, 'MILLIS', true), undefined, text);
  }
});

test('times carry the digits of their unit and read back', () => {
  assert.equal(formatTime(45_296_007, 'MILLIS'), '12:34:56.007');
  assert.equal(formatTime(45_296_000_007, 'MICROS'), '12:34:56.000007');
  assert.equal(formatLongTime(86_399_999_999_999n, 'NANOS'), '23:59:59.999999999');
  assert.equal(parseTime('12:34:56', 'MICROS'), 45_296_000_000n);
  assert.equal(parseTime('12:34:56.0005', 'MILLIS'), undefined);
  for (const text of ['1:00:00', '12:60:00', '12:00', '12:00:60', ''])
    assert.equal(parseTime(text, 'NANOS'), undefined);
  for (const unit of ['MILLIS', 'MICROS', 'NANOS'] as const) {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (units) => {
        assert.equal(parseTime(formatLongTime(units, unit), unit), units);
      }),
    );
  }
});
