/**
 * The tier between memory and storage: what a lookup lacks and the disk has.
 *
 * A page is met by the one block that holds the row. While the disk answers from the page cache all of it happens at
 * once, without a promise.
 */

import type { LoadedPage, Need, Pins } from '../table/index.ts';

/** Meets the needs that it can, and holds the pages in `pins`; gives those that are left for storage. */
export function meetStored(needs: readonly Need[], pins: Pins): readonly Need[] | Promise<readonly Need[]> {
  const left: Need[] = [];
  const waiting: Promise<void>[] = [];
  const settle = (need: Need, isMet: boolean) => {
    if (!isMet) left.push(need);
  };
  for (const need of needs) {
    const isMet = meetOne(need, pins);
    if (isMet instanceof Promise) waiting.push(isMet.then((met) => settle(need, met)));
    else settle(need, isMet);
  }
  return waiting.length === 0 ? left : Promise.all(waiting).then(() => left);
}

function meetOne(need: Need, pins: Pins): boolean | Promise<boolean> {
  const { file, chunk } = need;
  const { stored } = file;
  if (stored === undefined) return false;
  if (need.kind === 'page') {
    if (chunk.layout === undefined) return false;
    const row = need.row ?? chunk.layout.locations.firstRow(need.page);
    return taken(stored.page(chunk, need.page, row), (loaded) => {
      chunk.admit(need.page, loaded);
      pin(pins, need, loaded);
    });
  }
  if (need.kind === 'layout') {
    const rows = file.index.rowGroupRows(chunk.rowGroup);
    return chunk.layout !== undefined || taken(stored.layout(chunk, rows), (layout) => chunk.learn(layout));
  }
  return chunk.bloomFilter !== undefined || taken(stored.bloomFilter(chunk), (it) => chunk.learnBloomFilter(it));
}

export function pin(pins: Pins, { chunk, page }: Need & { readonly kind: 'page' }, loaded: LoadedPage): void {
  let pages = pins.get(chunk);
  if (pages === undefined) {
    pages = new Map();
    pins.set(chunk, pages);
  }
  pages.set(page, loaded);
}

function taken<T>(found: T | undefined | Promise<T | undefined>, take: (found: T) => void): boolean | Promise<boolean> {
  if (found instanceof Promise) return found.then((settled) => taken(settled, take));
  if (found === undefined) return false;
  take(found);
  return true;
}
