import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { nearestFloat16, shortestFloat16, shortestFloat32 } from '../../src/table/short-float.ts';

const bits = new Uint32Array(1);
const asFloat = new Float32Array(bits.buffer);

function float32FromBits(pattern: number): number {
  bits[0] = pattern;
  return asFloat[0] ?? 0;
}

/** IEEE 754 binary16 from its bits. */
function float16FromBits(pattern: number): number {
  const exponent = (pattern >>> 10) & 0x1f;
  const fraction = pattern & 0x3ff;
  const sign = pattern < 0x8000 ? 1 : -1;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

function digitsOf(value: number): string {
  return value.toExponential().replace(/e.*/, '').replace(/[-.]/g, '').replace(/0+$/, '');
}

/** By exact integers: no decimal of fewer digits lies within the values that round to this float. */
function hasShorter(value: number, digits: number): boolean {
  for (let fewer = 1; fewer < digits; fewer += 1) {
    const text = value.toPrecision(fewer);
    if (Math.fround(Number(text)) === value) return true;
  }
  return false;
}

test('every float reads back from its shortest decimal, and no shorter one does', () => {
  fc.assert(
    fc.property(fc.nat(0xffff_ffff), (pattern) => {
      const value = float32FromBits(pattern);
      const short = shortestFloat32(value);
      if (!Number.isFinite(value)) return assert.ok(Object.is(short, value));
      assert.ok(Object.is(Math.fround(short), value), `${value} became ${short}`);
      assert.ok(!hasShorter(value, digitsOf(short).length), `${short} is not the shortest for ${value}`);
    }),
    { numRuns: 20_000 },
  );
});

test('floats as people write them print as written', () => {
  fc.assert(
    fc.property(fc.integer({ min: -999_999, max: 999_999 }), fc.integer({ min: -12, max: 12 }), (digits, exponent) => {
      const written = Number(`${digits}e${exponent}`);
      assert.equal(shortestFloat32(Math.fround(written)), written);
    }),
    { numRuns: 5000 },
  );
});

test('powers of two, subnormals and the ends read back', () => {
  for (let exponent = -149; exponent <= 127; exponent += 1) {
    for (const value of [2 ** exponent, -(2 ** exponent)]) {
      const short = shortestFloat32(value);
      assert.equal(Math.fround(short), value);
      assert.ok(!hasShorter(value, digitsOf(short).length), `2^${exponent}: ${short}`);
    }
  }
  assert.equal(shortestFloat32(float32FromBits(1)), 1e-45);
  assert.equal(shortestFloat32(float32FromBits(0x7f7f_ffff)), 3.4028235e38);
  assert.equal(shortestFloat32(Math.fround(16_777_216)), 16_777_216);
});

test('all 65,536 values of FLOAT16', () => {
  for (let pattern = 0; pattern <= 0xffff; pattern += 1) {
    const value = float16FromBits(pattern);
    const short = shortestFloat16(value);
    if (Number.isNaN(value)) assert.ok(Number.isNaN(short));
    else assert.ok(Object.is(nearestFloat16(short), value), `${pattern}: ${value} became ${short}`);
  }
  assert.equal(float16FromBits(0x3c00), 1);
  assert.equal(float16FromBits(0x7bff), 65_504);
  assert.equal(shortestFloat16(float16FromBits(0x2e66)), 0.1);
  assert.equal(nearestFloat16(65_519), 65_504);
  assert.equal(nearestFloat16(65_520), Number.POSITIVE_INFINITY);
  assert.equal(nearestFloat16(2 ** -25), 0);
});

test("the nearest FLOAT16 is the engine's where it has one", (context) => {
  const round = (Math as { f16round?: (value: number) => number }).f16round;
  if (round === undefined) return context.skip('this engine has no Math.f16round');
  fc.assert(fc.property(fc.double(), (value) => assert.ok(Object.is(nearestFloat16(value), round(value)))));
  fc.assert(
    fc.property(fc.double({ min: -70_000, max: 70_000 }), (value) => {
      assert.ok(Object.is(nearestFloat16(value), round(value)));
    }),
  );
});
