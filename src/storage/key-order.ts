/**
 * The order of keys in S3 listings: by their UTF-8 bytes.
 *
 * JavaScript compares strings by UTF-16 code units, which differs in one way only: a character outside the basic plane
 * is a pair of surrogates (0xD800..0xDFFF), below U+E000..U+FFFF as code units but above them as UTF-8. Lifting the
 * surrogates above the rest of the plane makes comparing code units agree with comparing bytes, without encoding.
 */

/** Negative, zero or positive, as `Array.sort` wants it. */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i += 1) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return bytewiseRank(x) - bytewiseRank(y);
  }
  return a.length - b.length;
}

function bytewiseRank(codeUnit: number): number {
  return codeUnit >= 0xd800 && codeUnit <= 0xdfff ? codeUnit + 0x10000 : codeUnit;
}
