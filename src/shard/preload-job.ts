/**
 * One preload under way: a plan worked off row group by row group, a few at a time, with what came of it.
 *
 *     row group:  layouts and bloom filters -> pages that are not there -> from disk, else in batches from storage
 *
 * The pages of a batch lie near each other and are asked for in one turn, so that they come in few large GETs; each is
 * the flight that a lookup of it would join. A page that cannot be read is counted and passed over. A lookup that joins a
 * preload's page waits for it no longer than for the batch that it is in.
 */

import { ByteGate, WHOLE_PAGE_SHIFT } from '../cache/index.ts';
import { asServiceError, type Clock, type PlainError, rangeLength, type ServiceError } from '../core/index.ts';
import { type ChunkBlocks, type LoadedPage, type Need, Pins, type TableFile } from '../table/index.ts';
import type { PageLoader } from './page-loader.ts';
import { nextTurn, type PreloadPace, PreloadTrace } from './preload-pace.ts';
import { keyChunkOf, type PreloadPlan, type PreloadUnit, rowsInRange } from './preload-plan.ts';
import { meetStored } from './stored-needs.ts';

/** Row groups worked on at once, so that many small files do not wait for a round trip each. */
const UNITS_AT_ONCE = 8;
/** Bytes of pages asked for together: what one merged GET may have. */
const BATCH_BYTES = 8 * 2 ** 20;
/** Of the loader's room for pages on their way, what a preload may take. */
const IN_FLIGHT_SHARE = 1 / 4;
const ERRORS_SHOWN = 20;
/** Row groups that fail one after another before a preload gives up: storage is not there. */
const FAILURES_MAX = 8;

export type PreloadState = 'running' | 'done' | 'failed' | 'cancelled';

export interface PreloadVerified {
  readonly pages: number;
  readonly resident: number;
  /** Blocks of any table that left memory meanwhile. */
  readonly evicted: number;
}

export interface PreloadJobParts {
  readonly loader: PageLoader;
  readonly clock: Clock;
  readonly pace: PreloadPace;
  readonly plan: PreloadPlan;
  readonly into: 'memory' | 'disk';
  readonly verify: boolean;
  /** Blocks that left memory so far. */
  readonly evictions: () => number;
  /** Resolves when the disk tier has written what it was offered. */
  readonly diskIdle: () => Promise<void>;
}

interface WantedPage {
  readonly file: TableFile;
  readonly chunk: ChunkBlocks;
  readonly page: number;
  readonly start: number;
  readonly bytes: number;
}

export class PreloadJob {
  state: PreloadState = 'running';
  readonly plan: PreloadPlan;
  readonly trace = new PreloadTrace();
  readonly startedAtMs: number;
  endedAtMs: number | undefined = undefined;
  chunksDone = 0;
  bytesDone = 0;
  pagesLoaded = 0;
  errorCount = 0;
  /** The first few. */
  readonly errors: PlainError[] = [];
  verified: PreloadVerified | undefined = undefined;
  readonly #parts: PreloadJobParts;
  readonly #gate: ByteGate;
  readonly #stop = new AbortController();
  readonly #evictedBefore: number;
  #failures = 0;

  constructor(parts: PreloadJobParts) {
    this.#parts = parts;
    this.plan = parts.plan;
    this.startedAtMs = parts.clock.nowMs();
    this.#gate = new ByteGate(parts.loader.inFlight.capacityBytes * IN_FLIGHT_SHARE);
    this.#evictedBefore = parts.evictions();
  }

  /** Works the plan off. Never rejects. */
  async run(): Promise<void> {
    const queue = this.plan.units.values();
    const lane = async () => {
      for (const unit of queue) if (this.state === 'running') await this.#attempt(unit);
    };
    await Promise.all(Array.from({ length: Math.min(UNITS_AT_ONCE, this.plan.units.length) }, lane));
    if (this.state === 'running' && this.#parts.verify) await this.#verify();
    if (this.state === 'running') this.state = 'done';
    this.endedAtMs = this.#parts.clock.nowMs();
  }

  /** Ends it; what came stays. */
  cancel(): void {
    if (this.state !== 'running') return;
    this.state = 'cancelled';
    this.#stop.abort(new Error('the preload was cancelled'));
  }

  async #attempt(unit: PreloadUnit): Promise<void> {
    try {
      await this.#load(unit);
      this.#failures = 0;
    } catch (thrown) {
      if (this.state !== 'running') return;
      this.#report(asServiceError(thrown).with({ file: unit.file.file.object.key, rowGroup: unit.rowGroup }));
      this.#failures += 1;
      if (this.#failures >= FAILURES_MAX) this.#giveUp();
    } finally {
      this.chunksDone += unit.positions.length;
      this.bytesDone += unit.bytes;
    }
  }

  #giveUp(): void {
    this.state = 'failed';
    this.#stop.abort(new Error('too many row groups failed one after another'));
  }

  #report(error: ServiceError): void {
    this.errorCount += 1;
    if (this.errors.length < ERRORS_SHOWN) this.errors.push(error.toPlain());
  }

  async #load(unit: PreloadUnit): Promise<void> {
    // What was learned stays known for as long as this goes on, or pages of what was forgotten would be passed over.
    const held = new Pins();
    await this.#loadMetadata(unit, held);
    const missing: WantedPage[] = [];
    for (const wanted of wantedPages(unit, this.plan)) {
      if (this.#parts.into === 'memory' && wanted.chunk.isResident(wanted.page)) continue;
      if (!(await this.#fromDisk(wanted))) missing.push(wanted);
    }
    for (const batch of batchesOf(missing, this.#gate.capacityBytes)) await this.#loadBatch(batch);
    held.clear();
  }

  /** Where the pages lie, and for keys what rules them out; a chunk whose layout is broken has no pages to bring. */
  async #loadMetadata(unit: PreloadUnit, held: Pins): Promise<void> {
    const { file, rowGroup } = unit;
    const keyChunk = keyChunkOf(unit, this.plan.range);
    const chunks = new Set(unit.positions.map((position) => file.file.chunk(rowGroup, position)));
    if (keyChunk !== undefined) chunks.add(keyChunk);
    const needs: Need[] = [];
    for (const chunk of chunks) {
      chunk.holdLearned(held);
      if (chunk.layout === undefined) needs.push({ kind: 'layout', file: file.file, chunk });
      const isKey = file.file.isKey(chunk.chunk.leaf);
      if (isKey && chunk.bloomFilter === undefined) needs.push({ kind: 'bloomFilter', file: file.file, chunk });
    }
    if (needs.length === 0) return;
    const { loader, pace } = this.#parts;
    await pace.bytes(0, this.#stop.signal);
    const failed = await loader.load(needs, held, this.#stop.signal, this.trace);
    for (const { error } of failed) this.#report(error);
  }

  /** Takes the page's blocks from the disk tier, if all of them are there. */
  async #fromDisk({ file, chunk, page }: WantedPage): Promise<boolean> {
    const locations = chunk.layout?.locations;
    if (file.stored === undefined || locations === undefined) return false;
    for (let row = locations.firstRow(page); row < locations.rowEnd(page); ) {
      const pins = new Pins();
      const left = await meetStored([{ kind: 'page', file, chunk, page, row }], pins);
      const at = left.length === 0 ? chunk.at(row, pins) : undefined;
      if (at === undefined) return false;
      row = at.firstRow + at.block.rows;
    }
    await nextTurn();
    this.#stop.signal.throwIfAborted();
    return true;
  }

  async #loadBatch(batch: readonly WantedPage[]): Promise<void> {
    const bytes = batch.reduce((sum, page) => sum + page.bytes, 0);
    const { signal } = this.#stop;
    await this.#parts.pace.bytes(bytes, signal);
    const memory = batch.reduce((sum, page) => sum + memoryOf(page), 0);
    await this.#gate.run(memory, signal, async () => {
      const pages = await Promise.all(batch.map((wanted) => this.#loadPage(wanted)));
      if (this.#parts.into === 'disk') await this.#keepOnDisk(batch, pages);
    });
  }

  /** A page that is damaged is counted and passed over; anything else ends its row group. */
  async #loadPage({ file, chunk, page }: WantedPage): Promise<LoadedPage | undefined> {
    try {
      const loaded = await this.#parts.loader.page(file, chunk, page, this.#stop.signal, this.trace);
      this.pagesLoaded += 1;
      return loaded;
    } catch (thrown) {
      const error = asServiceError(thrown);
      if (error.kind !== 'corrupt' && error.kind !== 'unsupported') throw thrown;
      this.#report(error);
      return undefined;
    }
  }

  /** Offered as wanted again, since a full disk takes nothing else, and waited for, since its queue is short. */
  async #keepOnDisk(batch: readonly WantedPage[], pages: readonly (LoadedPage | undefined)[]): Promise<void> {
    for (const [i, { file, chunk, page }] of batch.entries()) {
      const loaded = pages[i];
      await this.#parts.diskIdle();
      for (const [ordinal, block] of loaded?.blocks.entries() ?? []) {
        if (loaded === undefined || block === undefined) continue;
        const shift = loaded.rows <= 2 ** loaded.shift ? WHOLE_PAGE_SHIFT : loaded.shift;
        file.stored?.keepBlock(chunk, page, ordinal, shift, block, true);
        if (block.dictionary !== undefined) file.stored?.keepDictionary(chunk, block.dictionary, true);
      }
    }
    await this.#parts.diskIdle();
  }

  async #verify(): Promise<void> {
    let pages = 0;
    let resident = 0;
    for (const unit of this.plan.units) {
      const held = new Pins();
      if (!(await this.#learnAgain(unit, held))) return;
      for (const wanted of wantedPages(unit, this.plan)) {
        pages += 1;
        const { chunk, page } = wanted;
        const isThere = this.#parts.into === 'memory' ? chunk.isResident(page) : await this.#isOnDisk(wanted);
        if (isThere) resident += 1;
      }
      held.clear();
      await nextTurn();
      if (this.state !== 'running') return;
    }
    this.verified = { pages, resident, evicted: this.#parts.evictions() - this.#evictedBefore };
  }

  /** False where that cannot be read any more, or the preload was cancelled: then nothing is said of what is there. */
  async #learnAgain(unit: PreloadUnit, held: Pins): Promise<boolean> {
    try {
      await this.#loadMetadata(unit, held);
      return true;
    } catch (thrown) {
      if (this.state === 'running') this.#report(asServiceError(thrown));
      return false;
    }
  }

  async #isOnDisk(wanted: WantedPage): Promise<boolean> {
    try {
      return await this.#fromDisk(wanted);
    } catch {
      // Only a cancelled preload comes here.
      return false;
    }
  }
}

/** The pages of a unit that hold rows of the range, whether they are in memory or not. */
function* wantedPages(unit: PreloadUnit, { range }: PreloadPlan): Generator<WantedPage> {
  const { file, rowGroup, positions } = unit;
  const rows = rowsInRange(unit, range);
  for (const position of positions) {
    const chunk = file.file.chunk(rowGroup, position);
    const locations = chunk.layout?.locations;
    if (locations === undefined || locations.pages === 0) continue;
    let next = 0;
    for (let at = 0; at < rows.length; at += 2) {
      const last = locations.pageOf((rows[at + 1] ?? 1) - 1);
      for (let page = Math.max(next, locations.pageOf(rows[at] ?? 0)); page <= last; page++) {
        const bytes = rangeLength(locations.range(page));
        yield { file: file.file, chunk, page, start: locations.range(page).start, bytes };
      }
      next = last + 1;
    }
  }
}

/** Neighbours together, as many as one GET and the room for pages on their way allow. */
function* batchesOf(pages: readonly WantedPage[], memoryMax: number): Generator<readonly WantedPage[]> {
  let batch: WantedPage[] = [];
  let bytes = 0;
  let memory = 0;
  for (const page of [...pages].sort((a, b) => a.start - b.start)) {
    const isFull = bytes + page.bytes > BATCH_BYTES || memory + memoryOf(page) > memoryMax;
    if (isFull && batch.length > 0) {
      yield batch;
      batch = [];
      bytes = 0;
      memory = 0;
    }
    batch.push(page);
    bytes += page.bytes;
    memory += memoryOf(page);
  }
  if (batch.length > 0) yield batch;
}

/** The page's bytes and its share of what its chunk says it has when decompressed. */
function memoryOf({ chunk, bytes }: WantedPage): number {
  const { range } = chunk.chunk;
  const share = bytes / Math.max(1, rangeLength(range));
  return bytes + Math.max(bytes, Math.ceil(share * chunk.chunk.uncompressedBytes));
}
