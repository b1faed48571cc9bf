/**
 * One run of a key index, open for lookups: fingerprint in, positions of rows that may have the key out.
 *
 * The directory is always in memory. The pages are too, all of them, or they lie on disk and are had one by one. A probe
 * touches one page, rarely two, and of a run in memory allocates nothing.
 */

import { assert, corrupt } from '../core/index.ts';
import type { RunPage } from './page-cache.ts';
import {
  decodeTail,
  HIGH_WORD,
  isPageSound,
  LOW_BYTE,
  PAGE_BYTES,
  PAGE_ENTRIES,
  PAGE_WORDS,
  POSITION_WORD,
  type RunDirectory,
  type RunFile,
  TRAILER_BYTES,
  tailBytesOf,
} from './run-layout.ts';
import { type PageCounts, type PageKeeping, type RunReader, StoredPages } from './stored-pages.ts';

/** Entries of a page by which a search goes on first: half a line of memory. */
const STEP_FIRST = 8;

/** `all` entries were given, there are `more`, or a page is `unread` and has to be waited for. */
export type Probed = 'all' | 'more' | 'unread';

export class KeyRun {
  readonly files: readonly RunFile[];
  readonly entries: number;
  readonly pages: number;
  /** Position of the first row of each file, and one more for the end of the last. */
  readonly firstPositions: Float64Array;
  /** The run as it is written, where it is in memory whole. */
  bytes: Uint8Array | undefined;
  /** Of the run as it is written, wherever it lies. */
  readonly runBytes: number;
  /** What the run keeps in memory, beside pages that are cached. */
  readonly byteLength: number;
  readonly #firsts: Uint32Array;
  /** All pages, one after another. */
  #whole: RunPage | undefined;
  readonly #stored: StoredPages | undefined;

  private constructor(directory: RunDirectory, tailBytes: number, source: Uint8Array | [RunReader, PageKeeping]) {
    const { files, entries, pages, firsts } = directory;
    this.files = files;
    this.entries = entries;
    this.pages = pages;
    this.#firsts = firsts;
    this.firstPositions = new Float64Array(files.length + 1);
    for (const [at, { rows }] of files.entries()) this.firstPositions[at + 1] = this.firstPositions[at]! + rows;
    const own = firsts.byteLength + this.firstPositions.byteLength;
    if (source instanceof Uint8Array) {
      this.bytes = source;
      this.runBytes = source.byteLength;
      this.#whole = { bytes: source, words: new Uint32Array(source.buffer, source.byteOffset, pages * PAGE_WORDS) };
      this.byteLength = own + source.byteLength;
    } else {
      const [reader, keeping] = source;
      this.runBytes = reader.byteLength;
      this.#stored = new StoredPages(reader, directory, this.#rows, keeping);
      this.byteLength = own + tailBytes + this.#stored.byteLength;
    }
  }

  /** A run whose bytes are all in memory, at a multiple of 4 of their buffer. Throws `corrupt` unless every byte is as it was written. */
  static open(run: Uint8Array): KeyRun {
    assert(run.byteOffset % 4 === 0, 'a run lies where words can be read');
    const tailBytes = tailBytesOf(run, run.length);
    const opened = new KeyRun(decodeTail(run.subarray(run.length - tailBytes)), tailBytes, run);
    for (let page = 0; page < opened.pages; page += 1) {
      const at = page * PAGE_BYTES;
      if (!isPageSound(run.subarray(at, at + PAGE_BYTES), page))
        throw corrupt(`page ${page} of a key index is damaged`);
      if (!opened.#namesRowsOnly(page)) throw corrupt('a key index names rows that no file of it has');
    }
    return opened;
  }

  /** The same for bytes that were opened before, and have not changed since. */
  static openKnown(run: Uint8Array): KeyRun {
    const tailBytes = tailBytesOf(run, run.length);
    return new KeyRun(decodeTail(Uint8Array.from(run.subarray(run.length - tailBytes))), tailBytes, run);
  }

  /** The bytes of a run that is in memory whole, from now on in memory that other threads can read too. */
  share(): Uint8Array | undefined {
    if (this.bytes === undefined || this.bytes.buffer instanceof SharedArrayBuffer) return this.bytes;
    const shared = new Uint8Array(new SharedArrayBuffer(this.bytes.byteLength));
    shared.set(this.bytes);
    this.bytes = shared;
    this.#whole = { bytes: shared, words: new Uint32Array(shared.buffer, 0, this.pages * PAGE_WORDS) };
    return shared;
  }

  /** A run that stays where it lies. Only its directory is read now. Throws `corrupt`, and what reading throws. */
  static openStored(reader: RunReader, keeping: PageKeeping): KeyRun {
    const read = (bytes: number) => {
      const part = new Uint8Array(bytes);
      if (!reader.readSync(reader.byteLength - bytes, part))
        throw corrupt('the directory of a key index cannot be read');
      return part;
    };
    const tailBytes = tailBytesOf(read(Math.min(TRAILER_BYTES, reader.byteLength)), reader.byteLength);
    return new KeyRun(decodeTail(read(tailBytes)), tailBytes, [reader, keeping]);
  }

  get isStored(): boolean {
    return this.#stored !== undefined;
  }

  /** Appends the positions of all entries of the fingerprint to `found`, in ascending order, but no more than `limit`. */
  probe(high: number, low: number, found: number[], limit: number): Probed {
    const end = found.length + limit;
    const firsts = this.#firsts;
    for (let page = this.#firstPage(high); page < this.pages && firsts[page]! <= high; page += 1) {
      const held = this.#whole ?? this.#stored?.now(page);
      if (held === undefined) return 'unread';
      if (!this.#collect(held, page, high, low, found, end)) return 'more';
    }
    return 'all';
  }

  /** The same, waiting for pages. Throws where one is damaged or cannot be read. */
  async probeAside(
    high: number,
    low: number,
    found: number[],
    limit: number,
    waited?: Pick<PageCounts, 'reads'>,
  ): Promise<Probed> {
    const end = found.length + limit;
    const firsts = this.#firsts;
    for (let page = this.#firstPage(high); page < this.pages && firsts[page]! <= high; page += 1) {
      const held = this.#whole ?? (await this.#stored?.read(page, waited));
      if (held !== undefined && !this.#collect(held, page, high, low, found, end)) return 'more';
    }
    return 'all';
  }

  /** A page alone, for going through all of them. Throws where it is not to be had at once. */
  page(page: number): RunPage {
    if (this.#whole !== undefined) {
      const bytes = this.#whole.bytes.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
      return { bytes, words: this.#whole.words.subarray(page * PAGE_WORDS, (page + 1) * PAGE_WORDS) };
    }
    const held = this.#stored?.now(page);
    if (held === undefined) throw corrupt(`page ${page} of a key index is damaged`);
    return held;
  }

  entriesIn(page: number): number {
    return page < this.pages - 1 ? PAGE_ENTRIES : this.entries - page * PAGE_ENTRIES;
  }

  /** Lets go of the file of a run on disk; lookups that still know the run find nothing in it and search without it. */
  close(): void {
    this.#stored?.close();
  }

  /** Which file a position is in. */
  fileOf(position: number): number {
    let first = 0;
    let end = this.files.length;
    while (end - first > 1) {
      const middle = (first + end) >>> 1;
      if (this.firstPositions[middle]! <= position) first = middle;
      else end = middle;
    }
    return first;
  }

  /** The row, within its file, that a position stands for; `file` is what `fileOf` said. */
  rowAt(file: number, position: number): number {
    return position - this.firstPositions[file]! + (this.files[file]?.firstRow ?? 0);
  }

  get #rows(): number {
    return this.firstPositions.at(-1) ?? 0;
  }

  #namesRowsOnly(page: number): boolean {
    const words = this.#whole?.words ?? new Uint32Array();
    const first = page * PAGE_WORDS + POSITION_WORD;
    const rows = this.#rows;
    for (let at = first; at < first + this.entriesIn(page); at += 1) if (words[at]! >= rows) return false;
    return true;
  }

  /** False where there are more than may be found. */
  #collect(held: RunPage, page: number, high: number, low: number, found: number[], end: number): boolean {
    const base = this.#whole === undefined ? 0 : page;
    const words = base * PAGE_WORDS + HIGH_WORD;
    const lows = base * PAGE_BYTES + LOW_BYTE;
    const count = this.entriesIn(page);
    const guess = this.#guessIn(page, high, count);
    for (
      let at = lowerBound(held.words, words, high, count, guess);
      at < count && held.words[words + at] === high;
      at += 1
    ) {
      if (held.bytes[lows + at] !== low) continue;
      if (found.length === end) return false;
      found.push(held.words[words - HIGH_WORD + POSITION_WORD + at]!);
    }
    return true;
  }

  /** Where in a page an upper word should be, since fingerprints are spread evenly. */
  #guessIn(page: number, high: number, count: number): number {
    const first = this.#firsts[page]!;
    const end = page + 1 < this.pages ? this.#firsts[page + 1]! : 2 ** 32;
    return high <= first ? 0 : Math.min(count, Math.trunc(((high - first) / (end - first)) * count));
  }

  /** The last page that begins below `high`, since its end may have it; the first page where there is none. */
  #firstPage(high: number): number {
    const firsts = this.#firsts;
    // Fingerprints are spread evenly, so this is near; from there by doubling steps, then by halving.
    let page = Math.min(this.pages - 1, Math.trunc((high / 2 ** 32) * this.pages));
    let step = 1;
    while (page > 0 && firsts[page]! >= high) {
      page = Math.max(0, page - step);
      step *= 2;
    }
    let end = page + 1;
    step = 1;
    while (end < this.pages && firsts[end]! < high) {
      page = end;
      end = Math.min(this.pages, end + step);
      step *= 2;
    }
    while (end - page > 1) {
      const middle = (page + end) >>> 1;
      if (firsts[middle]! < high) page = middle;
      else end = middle;
    }
    return page;
  }
}

/**
 * Of the upper words of `count` entries from `first` on, the first that is not below `high`; `count` where all are. From where it should be by
 * doubling steps, then by halving: a line of memory or two, where halving alone takes five.
 */
function lowerBound(words: Uint32Array, first: number, high: number, count: number, guess: number): number {
  let from = guess;
  let end = guess;
  for (let step = STEP_FIRST; from > 0 && words[first + from - 1]! >= high; step *= 2) {
    end = from - 1;
    from = Math.max(0, from - step);
  }
  for (let step = STEP_FIRST; end < count && words[first + end]! < high; step *= 2) {
    from = end + 1;
    end = Math.min(count, end + step);
  }
  while (from < end) {
    const middle = (from + end) >>> 1;
    if (words[first + middle]! < high) from = middle + 1;
    else end = middle;
  }
  return from;
}
