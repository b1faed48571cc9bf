/** Native packages have builds for some machines only; where one does not load, a portable decoder takes its place. */

import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/** The package, or undefined where it does not load. Callers keep the answer. */
export function loadNative<Library>(name: 'snappy' | 'lz4-napi'): Library | undefined {
  try {
    return require(name) as Library;
  } catch {
    return undefined;
  }
}
