export { BufferViews } from './buffer-views.ts';
export { copyBytes } from './bytes.ts';
export { type Clock, type Random, systemClock, systemRandom } from './clock.ts';
export { DURATION_BOUNDS_MS, DurationHistogram } from './duration-histogram.ts';
export {
  asServiceError,
  assert,
  corrupt,
  type ErrorContext,
  type ErrorKind,
  fromPlainError,
  type PlainError,
  ServiceError,
  unsupported,
} from './errors.ts';
export { type ByteRange, httpRange, rangeLength } from './range.ts';
export { formatBytes, parseByteSize, parseDuration } from './units.ts';
