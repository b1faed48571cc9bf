/**
 * Where decoders put what lives only until blocks are cut from it. A page that is cut before the next one is decoded
 * decodes into the same memory as the last: fresh memory is faulted in page by page by the system, and costs collections
 * of garbage, which together take as long as decoding does.
 */

/** What of one page is needed at the same time has different names. */
export type MemoryUse = 'values' | 'offsets' | 'lengths' | 'prefixes';

/** At least so many bytes, of any content. */
export type TakeMemory = (use: MemoryUse, byteLength: number) => ArrayBuffer;

/** For values that outlive their page. */
export const freshMemory: TakeMemory = (_use, byteLength) => new ArrayBuffer(byteLength);

/** More is not kept for a use; most pages are of one MiB at most. */
const KEPT_BYTES_MAX = 2 * 2 ** 20;

/** What it gives for a use may be given again by the next call for that use. */
export function reusedMemory(): TakeMemory {
  const kept = new Map<MemoryUse, ArrayBuffer>();
  return (use, byteLength) => {
    const known = kept.get(use);
    if (known !== undefined && known.byteLength >= byteLength) return known;
    if (byteLength > KEPT_BYTES_MAX) return new ArrayBuffer(byteLength);
    const buffer = new ArrayBuffer(2 ** Math.ceil(Math.log2(Math.max(4096, byteLength))));
    kept.set(use, buffer);
    return buffer;
  };
}
