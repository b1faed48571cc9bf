/**
 * The shortest decimal that reads back as the same 32-bit (or 16-bit) float.
 *
 * JavaScript prints a FLOAT of 0.1 as 0.10000000149011612, since it knows only doubles. The answer here is again a
 * double: the one nearest to the short decimal, whose own shortest text is that decimal. A number rather than a text, so
 * that the engine's fast formatting does the rest.
 */

const POWERS_OF_TEN = Float64Array.from({ length: 23 }, (_, exponent) => Number(`1e${exponent}`));
/** Between these every power of ten involved is exact in a double, so that each step below rounds once. */
const FAST_MIN = 1e-13;
const FAST_MAX = 1e22;

/** `value` must be a 32-bit float, as `Float32Array` gives it. */
export function shortestFloat32(value: number): number {
  const magnitude = Math.abs(value);
  if (magnitude >= FAST_MIN && magnitude < FAST_MAX) {
    const short = fastShortest(magnitude);
    return value < 0 ? -short : short;
  }
  if (value === 0 || value - value !== 0) return value;
  return slowShortest(value, (candidate) => readsBackAsFloat32(candidate, value));
}

/**
 * Six digits never tell two floats apart, so at most one decimal of six digits or fewer reads back as this one; from
 * seven on the nearest decimal of each length is tried in turn. Nine always suffice.
 */
function fastShortest(magnitude: number): number {
  let exponent = Math.floor(Math.log10(magnitude));
  if (magnitude < powerOfTen(exponent)) exponent -= 1;
  else if (magnitude >= powerOfTen(exponent + 1)) exponent += 1;
  for (let digits = 6; digits < 9; digits += 1) {
    const candidate = roundedTo(magnitude, digits - 1 - exponent);
    if (readsBackAsFloat32(candidate, magnitude)) return candidate;
  }
  return roundedTo(magnitude, 8 - exponent);
}

function powerOfTen(exponent: number): number {
  return exponent < 0 ? 1 / (POWERS_OF_TEN[-exponent] ?? 0) : (POWERS_OF_TEN[exponent] ?? Number.POSITIVE_INFINITY);
}

/** Rounded to `decimals` digits after the point, or before it where negative. */
function roundedTo(magnitude: number, decimals: number): number {
  if (decimals < 0) {
    const power = POWERS_OF_TEN[-decimals] ?? 1;
    return Math.round(magnitude / power) * power;
  }
  const power = POWERS_OF_TEN[decimals] ?? 1;
  return Math.round(magnitude * power) / power;
}

/**
 * A candidate midway between two floats goes to the even one, which every reader agrees on when the decimal itself lies
 * midway. A fraction's double may lie midway when its decimal does not, and then readers that parse straight to 32 bits
 * differ from those that go through a double: refused. Twice the candidate minus the value is the other neighbour.
 */
function readsBackAsFloat32(candidate: number, value: number): boolean {
  if (Math.fround(candidate) !== value) return false;
  const mirrored = 2 * candidate - value;
  return mirrored === value || Math.fround(mirrored) !== mirrored || Number.isInteger(candidate);
}

/** Every length in turn, for the few values beyond the exact powers of ten and for all subnormal ones. */
function slowShortest(value: number, readsBack: (candidate: number) => boolean): number {
  for (let digits = 1; digits < 9; digits += 1) {
    const candidate = Number(value.toPrecision(digits));
    if (readsBack(candidate)) return candidate;
  }
  return Number(value.toPrecision(9));
}

/** The 16-bit float nearest to a number, ties to even, as a number; infinite from 65,520 on. */
export function nearestFloat16(value: number): number {
  const magnitude = Math.abs(value);
  if (magnitude === 0 || value - value !== 0) return value;
  const exponent = Math.max(-14, Math.floor(Math.log2(magnitude)));
  const step = 2 ** (exponent - 10);
  const rounded = roundHalfEven(magnitude / step) * step;
  return Math.sign(value) * (rounded >= 65_536 ? Number.POSITIVE_INFINITY : rounded);
}

/** Exact, since the quotient came from a division by a power of two. */
function roundHalfEven(quotient: number): number {
  const floor = Math.floor(quotient);
  const rest = quotient - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/** `value` must be a 16-bit float. */
export function shortestFloat16(value: number): number {
  if (value === 0 || value - value !== 0) return value;
  return slowShortest(value, (candidate) => nearestFloat16(candidate) === value);
}
