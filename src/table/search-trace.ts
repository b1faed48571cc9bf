/** What a search passed over, by which means, and what it looked at; counted only where somebody wants to know. */

import type { BlockAt } from './block-at.ts';
import type { ChunkBlocks, Pins } from './chunk-blocks.ts';
import type { CandidateFiles } from './key-files.ts';

export class SearchTrace {
  /** Files of the snapshot. */
  files = 0;
  filesSearched = 0;
  /** Files that partition folders or the bounds of all their row groups ruled out. */
  filesByBounds = 0;
  /** Files that a key index ruled out. */
  filesByIndex = 0;
  /** Row groups whose pages were considered. */
  rowGroupsSearched = 0;
  rowGroupsByBounds = 0;
  rowGroupsByBloom = 0;
  /** Rows that a key index named, each verified. */
  rowsByIndex = 0;
  /** Pages of key columns in the row groups that were searched; those that may hold the key by their bounds. */
  keyPages = 0;
  keyPagesLeft = 0;
  /** Blocks that were read where they lay in memory, by their first row. */
  readonly #inMemory = new Map<ChunkBlocks, Set<number>>();

  /** How many different ones. */
  get memoryBlocks(): number {
    return this.#inMemory.values().reduce((count, blocks) => count + blocks.size, 0);
  }

  /** The same candidates, each counted when it is come to, and what is passed over on the way. */
  counting(candidates: CandidateFiles, files: number, hasIndex: boolean): CandidateFiles {
    this.files += files;
    return {
      next: (from) => {
        const next = candidates.next(from);
        const passed = Math.max(0, Math.min(next, files) - from);
        if (hasIndex) this.filesByIndex += passed;
        else this.filesByBounds += passed;
        if (next < files) this.filesSearched += 1;
        return next;
      },
    };
  }

  /** Files counted as searched turned out to have nothing later than what was found. */
  passedEarlier(files: number): void {
    this.filesSearched -= files;
    this.filesByBounds += files;
  }

  /** The row ranges of a row group that its key columns' page bounds leave open. */
  planned(chunks: readonly ChunkBlocks[], ranges: readonly number[]): void {
    this.rowGroupsSearched += 1;
    for (const { layout } of chunks) {
      if (layout === undefined) continue;
      this.keyPages += layout.locations.pages;
      let last = -1;
      for (let range = 0; range < ranges.length; range += 2) {
        const first = Math.max(last + 1, layout.locations.pageOf(ranges[range] ?? 0));
        last = layout.locations.pageOf((ranges[range + 1] ?? 1) - 1);
        this.keyPagesLeft += last - first + 1;
      }
    }
  }

  /** A block was read; one of a page that was waited for is counted where it was loaded. */
  read(at: BlockAt, chunk: ChunkBlocks, row: number, pins: Pins | undefined): void {
    const page = chunk.layout?.locations.pageOf(row) ?? -1;
    if (pins?.get(chunk)?.has(page) === true) return;
    const blocks = this.#inMemory.get(chunk) ?? new Set();
    this.#inMemory.set(chunk, blocks.add(at.firstRow));
  }
}
