/**
 * Encoded rows of hot keys, ready to send: texts, or rows packed for a batch of columns.
 *
 * Touching a block a column costs more than everything else in a hot lookup; a row that was encoded once is kept as the
 * bytes that were sent, and found by one probe of a hash table. Rows lie in two preallocated rings, in the order in which
 * they came, so that nothing is allocated and nothing is left to the garbage collector:
 *
 *     new rows -> [ small ring ] -- read meanwhile --> [ main ring ] -- read meanwhile --> its own head again
 *                        \--- else dropped, its hash remembered     \--- else dropped
 *     rows whose hash is remembered -----------------------^
 *
 * That is S3-FIFO (Yang et al., SOSP 2023), its ghost queue a table of hashes that overwrite each other and age: keys
 * that are asked once pass through a tenth of the memory and push out no hot one. Until the main ring is full for the
 * first time all go there.
 *
 * To keep a row costs more than to look for one. Where hardly a row of the small ring is read before it leaves, as with
 * uniformly random keys over far more rows than fit, of the new ones only a sample goes there; of the rest the hash is
 * remembered, so that they are kept when they are asked for a second time.
 *
 * An entry belongs to a space (one for each table and form of its rows): whoever makes spaces never gives a number twice,
 * so that what is left of a space that is used no more leaves with the ring. It also says of which generation of the
 * table it was, and which row of which file it is. It is found by its own generation alone; whoever knows generations
 * and files may prove that it is right for another, which then adopts it.
 *
 *     entry: u32 bytes of the entry | u32 hash | u32 space | u16 key bytes | u8 flags | u8 - | u32 text bytes
 *            | u32 generation | u32 file | f64 row | key | text (padded to 8)
 */

import { PrefaultedBytes } from './prefault.ts';
import { RowGhosts } from './row-ghosts.ts';
import { SampledAdmission } from './sampled-admission.ts';

const ENTRY_HEADER_BYTES = 36;
const FLAG_READ = 1;
/** The text is ASCII, which the faster of Node's two slices reads. */
const FLAG_ASCII = 2;
const HASH_AT = 4;
const SPACE_AT = 8;
const KEY_LENGTH_AT = 12;
const FLAGS_AT = 14;
const TEXT_LENGTH_AT = 16;
const GENERATION_AT = 20;
const FILE_AT = 24;
const ROW_AT = 28;

/** Of no one: an entry that another took the place of, until the ring has passed it. */
const NO_SPACE = 0;

/** The share of the small ring. */
const SMALL_SHARE = 0.1;
/** Longer texts are left to the blocks: copying them costs as much as encoding them. */
const TEXT_CHARACTERS_MAX = 8 * 1024;
const KEY_BYTES_MAX = 1024;
/** Below this the rings could not hold one row each, and there is no cache. */
const CAPACITY_BYTES_MIN = 64 * 1024;
/** What an offset in the table can name, a bit of the hash beside it. */
const CAPACITY_BYTES_MAX = 8 * (2 ** 31 - 2);
/** What the table is sized for; with smaller rows it fills up before the rings do, and then the oldest leave. */
const ENTRY_BYTES_EXPECTED = 256;
const TABLE_LOAD_MAX = 0.7;
/** Read entries that may go round the main ring for one that comes: a bound on the work of a single `put`. */
const REINSERTED_MAX = 32;
/** Of rows that leave the small ring, those that were read: with fewer a smaller sample of new ones goes there. */
const READ_SHARE_LOW = 1 / 16;
const READ_SHARE_HIGH = 1 / 8;
const SAMPLED_MIN = 1 / 64;
/** Of an entry, what is loaded ahead: its header, its key and the beginning of its text. */
const LINES_AHEAD = 3;
const LINE_BYTES = 64;
/** Keys are compared where they lie up to here, else by Node. */
const COMPARED_IN_PLACE_MAX = 32;

type TextBuffer = Buffer & {
  latin1Slice(start: number, end: number): string;
  utf8Slice(start: number, end: number): string;
};

/** What was loaded ahead lands here, so that the loads are not taken for useless. */
const loadedAhead = new Int32Array(1);

/** A stretch of the buffer that is written round and round. `head` is where the next entry goes, `tail` the oldest. */
interface Ring {
  readonly start: number;
  readonly end: number;
  head: number;
  tail: number;
  /** How often the writer has turned. */
  rounds: number;
  /** Entries between tail and head; 0 tells an empty ring from a full one. */
  entries: number;
}

/** What a text was made from; numbers that mean something to whoever keeps it, all below 2^32 but the row. */
export interface RowOrigin {
  readonly generation: number;
  readonly file: number;
  readonly row: number;
}

/** Takes the bytes of a row that is kept; says where they are with it. */
export interface RowBytes {
  append(bytes: Uint8Array, start: number, end: number): number;
}

export interface RowCacheStats {
  readonly capacityBytes: number;
  readonly entries: number;
  /** Rows that were taken in, which is work, whether they were read again or not. */
  readonly admitted: number;
  readonly hits: number;
  readonly misses: number;
  /** Those hits whose text was of another generation. */
  readonly crossed: number;
  /** Those misses that found, once the row was searched for, that its text of another generation was kept. */
  readonly confirmed: number;
}

export class RowCache {
  readonly #capacityBytes: number;
  readonly #bytes: TextBuffer;
  readonly #view: DataView;
  readonly #memory: PrefaultedBytes;
  readonly #small: Ring;
  readonly #main: Ring;
  /**
   * Offsets of entries in units of 8 bytes, plus one; 0 is a free place. What is left of the 32 bits has the highest bits
   * of the hash, so that entries of other keys need not be touched. Linear probing.
   */
  readonly #table: Uint32Array;
  readonly #mask: number;
  /** Of an entry of the table, what is its offset. */
  readonly #offsetMask: number;
  readonly #ghosts: RowGhosts;
  /** Of the new rows, which go to the small ring. */
  readonly #admission = new SampledAdmission(READ_SHARE_LOW, READ_SHARE_HIGH, SAMPLED_MIN);
  #entries = 0;
  /** Of the entries, those that others took the place of. */
  #abandoned = 0;
  #admitted = 0;
  #hits = 0;
  #misses = 0;
  #crossed = 0;
  #confirmed = 0;

  constructor(budgetBytes: number) {
    const table = tableSize(budgetBytes);
    const capacity = Math.min(CAPACITY_BYTES_MAX, Math.floor((budgetBytes - 8 * table) / 8) * 8);
    this.#capacityBytes = capacity < CAPACITY_BYTES_MIN ? 0 : capacity;
    this.#bytes = Buffer.allocUnsafeSlow(this.#capacityBytes) as TextBuffer;
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.byteLength);
    this.#memory = new PrefaultedBytes(this.#bytes);
    // The main ring fills first.
    const border = this.#capacityBytes - Math.floor((this.#capacityBytes * SMALL_SHARE) / 8) * 8;
    this.#main = { start: 0, end: border, head: 0, tail: 0, rounds: 0, entries: 0 };
    this.#small = { start: border, end: this.#capacityBytes, head: border, tail: border, rounds: 0, entries: 0 };
    // Written to now, since the system clears memory when it is first written to, huge pages of it at once: no row shall wait for that.
    this.#table = new Uint32Array(this.#capacityBytes === 0 ? 1 : table).fill(0);
    this.#mask = this.#table.length - 1;
    this.#offsetMask = 2 ** Math.ceil(Math.log2(this.#capacityBytes / 8 + 2)) - 1;
    this.#ghosts = new RowGhosts(this.#table.length);
  }

  /** Nothing is done any more but what is asked for. */
  close(): void {
    this.#memory.close();
  }

  get stats(): RowCacheStats {
    return {
      capacityBytes: this.#capacityBytes,
      entries: this.#entries - this.#abandoned,
      admitted: this.#admitted,
      hits: this.#hits,
      misses: this.#misses,
      crossed: this.#crossed,
      confirmed: this.#confirmed,
    };
  }

  /** The text kept for a key of a space in this generation. */
  get(space: number, key: Uint8Array, generation: number): string | undefined {
    const at = this.#entryNow(space, key, generation);
    return at < 0 ? undefined : this.#textAt(at, key.length);
  }

  /** The same of bytes: where they are in `into`, undefined where there are none. */
  copy(space: number, key: Uint8Array, generation: number, into: RowBytes): number | undefined {
    const at = this.#entryNow(space, key, generation);
    return at < 0 ? undefined : this.#copyAt(at, key.length, into);
  }

  get isEmpty(): boolean {
    return this.#entries === 0;
  }

  /** By which `loadAhead` knows a key of a space. */
  hashOf(space: number, key: Uint8Array): number {
    return hashOf(space, key);
  }

  /**
   * Has the processor load what finding so many keys will look at, of all at the same time, where to find them one after the other is to wait for
   * memory again and again (group prefetching: Chen et al., ICDE 2004). Finds nothing itself.
   */
  loadAhead(hashes: Uint32Array, count: number): void {
    if (this.isEmpty) return;
    const table = this.#table;
    const bytes = this.#bytes;
    const last = this.#capacityBytes - LINES_AHEAD * LINE_BYTES;
    let loaded = 0;
    for (let i = 0; i < count; i += 1) loaded ^= table[(hashes[i] as number) & this.#mask] as number;
    for (let i = 0; i < count; i += 1) {
      const entry = table[(hashes[i] as number) & this.#mask] as number;
      const at = entry === 0 ? 0 : Math.min(last, this.#placeOf(entry));
      for (let line = 0; line < LINES_AHEAD; line += 1) loaded ^= bytes[at + line * LINE_BYTES] as number;
    }
    loadedAhead[0] = loaded;
  }

  /** What the text kept for a key of a space was made from, in whichever generation. */
  originOf(space: number, key: Uint8Array): RowOrigin | undefined {
    const at = this.#entryOf(space, key);
    return at < 0 ? undefined : this.#originAt(at);
  }

  /**
   * The text kept for a key of a space, which its origin `proved` right for this generation, or a search that found the
   * same row. It is of that generation from now on, unless it is of a later one. To be called after `get` missed it.
   */
  adopt(space: number, key: Uint8Array, generation: number, by: 'proof' | 'search'): string | undefined {
    const at = this.#adopted(space, key, generation, by);
    return at < 0 ? undefined : this.#textAt(at, key.length);
  }

  /** The same of bytes, as `copy`. */
  adoptCopy(
    space: number,
    key: Uint8Array,
    generation: number,
    by: 'proof' | 'search',
    into: RowBytes,
  ): number | undefined {
    const at = this.#adopted(space, key, generation, by);
    return at < 0 ? undefined : this.#copyAt(at, key.length, into);
  }

  #adopted(space: number, key: Uint8Array, generation: number, by: 'proof' | 'search'): number {
    const at = this.#entryOf(space, key);
    if (at < 0) return -1;
    if (by === 'search') this.#confirmed += 1;
    else {
      this.#misses -= 1;
      this.#hits += 1;
      this.#crossed += 1;
    }
    if (this.#view.getUint32(at + GENERATION_AT, true) < generation) {
      this.#view.setUint32(at + GENERATION_AT, generation, true);
    }
    return at;
  }

  /**
   * Keeps a row in place of one of an earlier generation, or leaves it when it is too long, too few are read again, or the memory for it
   * is not there yet.
   */
  put(space: number, key: Uint8Array, row: string | Uint8Array, origin: RowOrigin): void {
    if (this.#capacityBytes === 0 || row.length > TEXT_CHARACTERS_MAX || key.length > KEY_BYTES_MAX) return;
    const hash = hashOf(space, key);
    const known = this.#find(hash, space, key);
    if (known >= 0 && this.#view.getUint32(known + GENERATION_AT, true) >= origin.generation) return;
    if (known >= 0) this.#abandon(known);
    const most = entryBytes(key.length, typeof row === 'string' ? 3 * row.length : row.length);
    if (most > (this.#small.end - this.#small.start) / 2) return;
    // A key that is asked for in two generations has been asked for twice.
    const ring = known >= 0 || this.#hasUnused(this.#main, most) || this.#ghosts.has(hash) ? this.#main : this.#small;
    if (ring === this.#small && !this.#admission.isSampled()) {
      this.#ghosts.remember(hash, this.#entries);
      return;
    }
    const at = this.#makeRoom(ring, most);
    if (!this.#memory.has(at + most)) return;
    const textAt = at + ENTRY_HEADER_BYTES + key.length;
    const textBytes = this.#write(row, textAt);
    const length = entryBytes(key.length, textBytes);
    this.#view.setUint32(at, length, true);
    this.#view.setUint32(at + HASH_AT, hash, true);
    this.#view.setUint32(at + SPACE_AT, space, true);
    this.#view.setUint16(at + KEY_LENGTH_AT, key.length, true);
    this.#bytes[at + FLAGS_AT] = textBytes === row.length ? FLAG_ASCII : 0;
    this.#view.setUint32(at + TEXT_LENGTH_AT, textBytes, true);
    this.#view.setUint32(at + GENERATION_AT, origin.generation, true);
    this.#view.setUint32(at + FILE_AT, origin.file, true);
    this.#view.setFloat64(at + ROW_AT, origin.row, true);
    this.#bytes.set(key, at + ENTRY_HEADER_BYTES);
    this.#append(ring, at, length);
    this.#link(hash, at);
    this.#admitted += 1;
  }

  /** How many bytes it takes there. */
  #write(row: string | Uint8Array, at: number): number {
    if (typeof row === 'string') return this.#bytes.write(row, at, 'utf8');
    this.#bytes.set(row, at);
    return row.length;
  }

  #entryNow(space: number, key: Uint8Array, generation: number): number {
    const at = this.#entryOf(space, key);
    if (at < 0 || this.#view.getUint32(at + GENERATION_AT, true) !== generation) {
      this.#misses += 1;
      return -1;
    }
    this.#hits += 1;
    return at;
  }

  #entryOf(space: number, key: Uint8Array): number {
    return this.#capacityBytes === 0 ? -1 : this.#find(hashOf(space, key), space, key);
  }

  /** Marks it as read. */
  #flagsOf(at: number): number {
    const flags = this.#bytes[at + FLAGS_AT]!;
    if ((flags & FLAG_READ) === 0) this.#bytes[at + FLAGS_AT] = flags | FLAG_READ;
    return flags;
  }

  #copyAt(at: number, keyBytes: number, into: RowBytes): number {
    this.#flagsOf(at);
    const start = at + ENTRY_HEADER_BYTES + keyBytes;
    return into.append(this.#bytes, start, start + this.#view.getUint32(at + TEXT_LENGTH_AT, true));
  }

  #textAt(at: number, keyBytes: number): string {
    const flags = this.#flagsOf(at);
    const start = at + ENTRY_HEADER_BYTES + keyBytes;
    const end = start + this.#view.getUint32(at + TEXT_LENGTH_AT, true);
    return (flags & FLAG_ASCII) === 0 ? this.#bytes.utf8Slice(start, end) : this.#bytes.latin1Slice(start, end);
  }

  #originAt(at: number): RowOrigin {
    return {
      generation: this.#view.getUint32(at + GENERATION_AT, true),
      file: this.#view.getUint32(at + FILE_AT, true),
      row: this.#view.getFloat64(at + ROW_AT, true),
    };
  }

  /** Leaves an entry where it lies, found by nobody, to be dropped when its ring comes to it. */
  #abandon(at: number): void {
    this.#abandoned += 1;
    this.#view.setUint32(at + SPACE_AT, NO_SPACE, true);
    this.#bytes[at + FLAGS_AT] = this.#bytes[at + FLAGS_AT]! & ~FLAG_READ;
  }

  #append(ring: Ring, at: number, length: number): void {
    ring.head = at + length;
    ring.entries += 1;
  }

  /**
   * A place for an entry of up to so many bytes at the head of the ring; entries that lie there leave first. An entry
   * does not go round the end: what is left there stays unused until the next round.
   */
  #makeRoom(ring: Ring, bytes: number): number {
    let reinserted = 0;
    while (this.#entries > TABLE_LOAD_MAX * this.#table.length) {
      this.#dropOldest(this.#main.entries > 0 ? this.#main : this.#small, false);
    }
    for (;;) {
      if (ring.entries === 0) {
        ring.head = ring.start;
        ring.tail = ring.start;
      }
      const isWrapped = ring.entries > 0 && ring.head <= ring.tail;
      if (ring.head + bytes <= (isWrapped ? ring.tail : ring.end)) return ring.head;
      if (isWrapped) {
        this.#dropOldest(ring, reinserted++ < REINSERTED_MAX);
        continue;
      }
      // The rest of this round is too short: mark where whoever follows must turn.
      if (ring.head < ring.end) this.#view.setUint32(ring.head, 0, true);
      ring.head = ring.start;
      ring.rounds += 1;
    }
  }

  /** Takes the oldest entry out of a ring; one that was read may go on to the main ring's head. */
  #dropOldest(ring: Ring, mayStay: boolean): void {
    const at = ring.tail;
    const length = this.#view.getUint32(at, true);
    const wasRead = (this.#bytes[at + FLAGS_AT]! & FLAG_READ) !== 0;
    const hash = this.#view.getUint32(at + HASH_AT, true);
    this.#unlink(hash, at);
    const isAbandoned = this.#view.getUint32(at + SPACE_AT, true) === NO_SPACE;
    ring.entries -= 1;
    ring.tail = this.#tailAfter(ring, at + length);
    if (isAbandoned) {
      this.#abandoned -= 1;
      return;
    }
    if (ring === this.#small) this.#admission.judge(wasRead);
    if (wasRead && mayStay) this.#promote(at, length, hash, ring);
    else if (ring === this.#small) this.#ghosts.remember(hash, this.#entries);
  }

  /** Whether there is room at the head that no entry has ever had. */
  #hasUnused(ring: Ring, length: number): boolean {
    return ring.rounds === 0 && ring.head + length <= ring.end;
  }

  /** The next entry's place: at the start of the ring where the writer turned. */
  #tailAfter(ring: Ring, next: number): number {
    if (ring.entries === 0) return next;
    if (next === ring.end || this.#view.getUint32(next, true) === 0) return ring.start;
    return next;
  }

  #promote(at: number, length: number, hash: number, from: Ring): void {
    if (from === this.#main) {
      // Its own ring is being emptied for somebody: the entry may go round only where no other has to leave for it.
      const room = from.head <= from.tail ? from.tail - from.head : from.end - from.head;
      if (from.entries === 0 || room < length) return;
      this.#moveTo(from, from.head, at, length, hash);
      return;
    }
    this.#moveTo(this.#main, this.#makeRoom(this.#main, length), at, length, hash);
  }

  #moveTo(ring: Ring, to: number, at: number, length: number, hash: number): void {
    this.#bytes.copyWithin(to, at, at + length);
    this.#bytes[to + FLAGS_AT] = this.#bytes[to + FLAGS_AT]! & ~FLAG_READ;
    this.#append(ring, to, length);
    this.#link(hash, to);
  }

  #find(hash: number, space: number, key: Uint8Array): number {
    const table = this.#table;
    const offsets = this.#offsetMask;
    for (let place = hash & this.#mask; ; place = (place + 1) & this.#mask) {
      const entry = table[place]!;
      if (entry === 0) return -1;
      if (((entry ^ hash) & ~offsets) !== 0) continue;
      const at = this.#placeOf(entry);
      if (this.#view.getUint32(at + HASH_AT, true) === hash && this.#isKey(at, space, key)) return at;
    }
  }

  #isKey(at: number, space: number, key: Uint8Array): boolean {
    if (this.#view.getUint32(at + SPACE_AT, true) !== space) return false;
    if (this.#view.getUint16(at + KEY_LENGTH_AT, true) !== key.length) return false;
    const start = at + ENTRY_HEADER_BYTES;
    if (key.length > COMPARED_IN_PLACE_MAX)
      return this.#bytes.compare(key, 0, key.length, start, start + key.length) === 0;
    for (let i = 0; i < key.length; i += 1) if (this.#bytes[start + i] !== key[i]) return false;
    return true;
  }

  #link(hash: number, at: number): void {
    let place = hash & this.#mask;
    while (this.#table[place] !== 0) place = (place + 1) & this.#mask;
    this.#table[place] = this.#entryFor(hash, at);
    this.#entries += 1;
  }

  #entryFor(hash: number, at: number): number {
    return ((hash & ~this.#offsetMask) | (at / 8 + 1)) >>> 0;
  }

  #placeOf(entry: number): number {
    return ((entry & this.#offsetMask) - 1) * 8;
  }

  /** Frees the entry's place and moves up those that were pushed past it (Knuth's algorithm R, TAOCP 6.4). */
  #unlink(hash: number, at: number): void {
    const table = this.#table;
    let free = hash & this.#mask;
    const freed = this.#entryFor(hash, at);
    while (table[free] !== freed) free = (free + 1) & this.#mask;
    this.#entries -= 1;
    for (let place = (free + 1) & this.#mask; ; place = (place + 1) & this.#mask) {
      const entry = table[place]!;
      if (entry === 0) break;
      const home = this.#view.getUint32(this.#placeOf(entry) + HASH_AT, true) & this.#mask;
      // Whether `home` lies cyclically in (free, place]: then the entry may stay where it is.
      const stays = free <= place ? free < home && home <= place : free < home || home <= place;
      if (stays) continue;
      table[free] = entry;
      free = place;
    }
    table[free] = 0;
  }
}

function tableSize(budgetBytes: number): number {
  const expected = Math.max(1, budgetBytes / ENTRY_BYTES_EXPECTED / TABLE_LOAD_MAX);
  return 2 ** Math.ceil(Math.log2(expected));
}

function entryBytes(keyBytes: number, textBytes: number): number {
  return Math.ceil((ENTRY_HEADER_BYTES + keyBytes + textBytes) / 8) * 8;
}

/** FNV-1a over the space and the key, its high bits mixed in, since the table takes the low ones. */
function hashOf(space: number, key: Uint8Array): number {
  let hash = Math.imul(space ^ 0x811c9dc5, 0x01000193);
  for (let i = 0; i < key.length; i += 1) hash = Math.imul(hash ^ key[i]!, 0x01000193);
  hash ^= hash >>> 15;
  hash = Math.imul(hash, 0x2c1b3c6d);
  return (hash ^ (hash >>> 13)) >>> 0;
}
