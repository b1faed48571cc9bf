/** Byte ranges are half-open everywhere inside Pointlake; only the HTTP header form is inclusive. */

export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export function rangeLength(range: ByteRange): number {
  return range.end - range.start;
}

/** The one place where a half-open range becomes HTTP's inclusive `Range` header. An empty range has no such form. */
export function httpRange(range: ByteRange): string {
  if (range.end <= range.start) throw new RangeError(`an empty range ${range.start}..${range.end} has no HTTP form`);
  return `bytes=${range.start}-${range.end - 1}`;
}
