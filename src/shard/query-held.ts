/**
 * The rows of an answer in the order of a key, read in the order of the snapshot.
 *
 *     ranked rows -> by file and row: each page once -> held as their taker made them -> put by rank
 *
 * Rows that are near by key may be anywhere in the files. Reading them by rank would read a page again for nearly every row
 * of it, as soon as memory does not keep all pages. What is held is bounded: when it is too much, the rows that come last by
 * rank are let go, and read by a later pass. Each pass puts about half of the bound or more, so that a page is read at most
 * as often as twice the answer's bytes by the bound, and once more.
 */

import type { Pins, TableColumn } from '../table/index.ts';
import type { HeldRow, QueryPlace, RowSink } from './query.ts';
import type { QueryReader } from './query-reader.ts';

/** Says how many were put, and where the sink is full waits. */
export async function* takeInOrder(
  reader: QueryReader,
  ranked: readonly QueryPlace[],
  columns: readonly TableColumn[],
  sink: RowSink,
  heldBytesMax: number,
): AsyncGenerator<number, void> {
  const rankOf = new Map(ranked.map((place, rank) => [place, rank]));
  const inFiles = ranked.toSorted(bySnapshot);
  for (let from = 0; from < ranked.length; ) {
    const held = new HeldRows(from, ranked.length, heldBytesMax);
    const isWanted = (place: QueryPlace) => held.wants(rankOf.get(place) ?? 0);
    const holding = {
      isFull: false,
      take: (place: QueryPlace, pins: Pins) => {
        const row = sink.hold(place, pins);
        if (row !== undefined) held.add(rankOf.get(place) ?? 0, row);
        return row !== undefined;
      },
    };
    for await (const _count of reader.take(inFiles, columns, holding, undefined, isWanted));
    yield* put(reader, held, sink);
    from = held.end;
  }
}

async function* put(reader: QueryReader, held: HeldRows, sink: RowSink): AsyncGenerator<number, void> {
  let count = 0;
  for (const row of held.inOrder()) {
    row.put();
    count += 1;
    await reader.pause();
    if (!sink.isFull) continue;
    yield count;
    count = 0;
  }
  if (count > 0) yield count;
}

function bySnapshot(a: QueryPlace, b: QueryPlace): number {
  return a.fileOrdinal - b.fileOrdinal || a.rowGroup - b.rowGroup || a.row - b.row;
}

/** Rows of one pass, by rank from `from` on. */
class HeldRows {
  readonly #from: number;
  readonly #bytesMax: number;
  /** By rank, counted from `from`. */
  readonly #rows: (HeldRow | undefined)[] = [];
  #bytes = 0;
  /** Rows of this rank and after it are left to the next pass. */
  end: number;

  constructor(from: number, end: number, bytesMax: number) {
    this.#from = from;
    this.end = end;
    this.#bytesMax = bytesMax;
  }

  wants(rank: number): boolean {
    return rank >= this.#from && rank < this.end;
  }

  add(rank: number, row: HeldRow): void {
    this.#rows[rank - this.#from] = row;
    this.#bytes += row.bytes;
    if (this.#bytes > this.#bytesMax) this.#letGo();
  }

  /** Each is let go of when it is given. */
  *inOrder(): Generator<HeldRow, void> {
    for (let at = 0; at < this.end - this.#from; at++) {
      const row = this.#rows[at];
      this.#rows[at] = undefined;
      if (row !== undefined) yield row;
    }
  }

  /** All but the first that take half of what there is; one at least, however large. */
  #letGo(): void {
    let bytes = 0;
    let kept = 0;
    for (; kept < this.end - this.#from; kept++) {
      const more = this.#rows[kept]?.bytes ?? 0;
      if (kept > 0 && bytes + more > this.#bytesMax / 2) break;
      bytes += more;
    }
    this.#rows.length = Math.min(this.#rows.length, kept);
    this.#bytes = bytes;
    this.end = this.#from + kept;
  }
}
