/**
 * The tier between memory and storage: what a lookup lacks and the disk has.
 *
 * A page is met by the one block that holds the row, or by that row alone. While the disk answers from the page cache all
 * of it happens at once, without a promise; when this turn of the event loop has read enough, the rest waits for the next.
 */

import type { LoadedPage, Need, Pins, StoredFile, StoredPage } from '../table/index.ts';

/** Meets the needs that it can, and holds the pages in `pins`; gives those that are left for storage. */
export function meetStored(needs: readonly Need[], pins: Pins): readonly Need[] | Promise<readonly Need[]> {
  const left: Need[] = [];
  const waiting: Promise<void>[] = [];
  const done = meetFrom(0, needs, pins, left, waiting);
  if (done === undefined && waiting.length === 0) return left;
  return (done ?? Promise.resolve()).then(() => Promise.all(waiting)).then(() => left);
}

/** Meets all of them now; false where one is not there, or is read by a thread, and then they are to be met anew. */
export function meetNow(needs: readonly Need[], pins: Pins): boolean {
  for (const need of needs) {
    const isMet = meetOne(need, pins);
    if (isMet === true) continue;
    // Read for nothing, which is seldom: the disk was fast a moment ago.
    if (isMet instanceof Promise) isMet.catch(() => undefined);
    return false;
  }
  return true;
}

function meetFrom(
  first: number,
  needs: readonly Need[],
  pins: Pins,
  left: Need[],
  waiting: Promise<void>[],
): Promise<void> | undefined {
  for (let at = first; at < needs.length; at++) {
    const need = needs[at];
    if (need === undefined) break;
    const turn = need.file.stored?.turn();
    if (turn !== undefined) return meetLater(turn, at, needs, pins, left, waiting);
    const isMet = meetOne(need, pins);
    if (isMet instanceof Promise) waiting.push(leftUnless(isMet, need, left));
    else if (!isMet) left.push(need);
  }
  return undefined;
}

async function meetLater(
  turn: Promise<void>,
  at: number,
  needs: readonly Need[],
  pins: Pins,
  left: Need[],
  waiting: Promise<void>[],
): Promise<void> {
  await turn;
  await meetFrom(at, needs, pins, left, waiting);
}

async function leftUnless(isMet: Promise<boolean>, need: Need, left: Need[]): Promise<void> {
  if (!(await isMet)) left.push(need);
}

function meetOne(need: Need, pins: Pins): boolean | Promise<boolean> {
  const { file, chunk } = need;
  const { stored } = file;
  if (stored === undefined) return false;
  if (need.kind === 'page') {
    if (chunk.layout === undefined) return false;
    const row = need.row ?? chunk.layout.locations.firstRow(need.page);
    const found = need.only === 'row' ? stored.row(chunk, need.page, row) : stored.block(chunk, need.page, row);
    return found instanceof Promise ? takenLater(found, need, pins) : takePage(found, need, pins);
  }
  return need.kind === 'layout' ? meetLayout(need, stored, pins) : meetBloomFilter(need, stored, pins);
}

type PageNeed = Need & { readonly kind: 'page' };

async function takenLater(found: Promise<StoredPage | undefined>, need: PageNeed, pins: Pins): Promise<boolean> {
  return takePage(await found, need, pins);
}

function takePage(found: StoredPage | undefined, need: PageNeed, pins: Pins): boolean {
  if (found === undefined) return false;
  need.chunk.holdLearned(pins);
  if (found.kind === 'block') need.chunk.admit(need.page, found.page);
  pin(pins, need, found.page);
  return true;
}

function meetLayout({ file, chunk }: Need, stored: StoredFile, pins: Pins): boolean | Promise<boolean> {
  const rows = file.index.rowGroupRows(chunk.rowGroup);
  return (
    chunk.layout !== undefined ||
    taken(stored.layout(chunk, rows), (layout) => {
      chunk.learn(layout);
      chunk.holdLearned(pins);
    })
  );
}

function meetBloomFilter({ chunk }: Need, stored: StoredFile, pins: Pins): boolean | Promise<boolean> {
  return (
    chunk.bloomFilter !== undefined ||
    taken(stored.bloomFilter(chunk), (filter) => {
      chunk.learnBloomFilter(filter);
      chunk.holdLearned(pins);
    })
  );
}

export function pagesIn(needs: readonly Need[]): number {
  return needs.reduce((pages, { kind }) => pages + (kind === 'page' ? 1 : 0), 0);
}

export function pin(pins: Pins, { chunk, page }: PageNeed, loaded: LoadedPage): void {
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
