/**
 * Where in a Thrift struct of the compact protocol the numbers, counts and lengths stand, so that a mutation can make just
 * one of them lie and leave the rest of the structure whole.
 */

export interface NumberSite {
  /** What the varint at [start, end) is: a zigzag integer, a length of bytes, or the header of a list. */
  readonly kind: 'integer' | 'length' | 'list';
  readonly start: number;
  readonly end: number;
}

/** Sites of the struct that begins at `offset`, and where it ends. Gives up, keeping what it has, on what is no Thrift. */
export function numberSites(bytes: Uint8Array, offset: number): { sites: readonly NumberSite[]; end: number } {
  const walk = new Walk(bytes, offset);
  try {
    walk.struct(0);
  } catch (thrown) {
    if (!(thrown instanceof RangeError)) throw thrown;
  }
  return { sites: walk.sites, end: walk.at };
}

const DEPTH_MAX = 12;

class Walk {
  readonly sites: NumberSite[] = [];
  readonly #bytes: Uint8Array;
  at: number;

  constructor(bytes: Uint8Array, offset: number) {
    this.#bytes = bytes;
    this.at = offset;
  }

  struct(depth: number): void {
    if (depth > DEPTH_MAX) throw new RangeError('too deep');
    for (;;) {
      const head = this.#byte();
      if (head === 0) return;
      if (head >> 4 === 0) this.#varint();
      this.#value(head & 15, depth);
    }
  }

  #value(type: number, depth: number): void {
    if (type === 1 || type === 2) return;
    if (type === 3) this.at += 1;
    else if (type <= 6) this.#site('integer');
    else if (type === 7) this.at += 8;
    else if (type === 8) this.#binary();
    else if (type === 9 || type === 10) this.#list(depth);
    else if (type === 12) this.struct(depth + 1);
    else throw new RangeError(`type ${type}`);
  }

  #binary(): void {
    const length = this.#site('length');
    this.at += length;
  }

  #list(depth: number): void {
    const start = this.at;
    const head = this.#byte();
    const size = head >> 4 === 15 ? this.#varint() : head >> 4;
    this.sites.push({ kind: 'list', start, end: this.at });
    const type = head & 15;
    for (let i = 0; i < size; i += 1) {
      if (this.at >= this.#bytes.length) throw new RangeError('the end');
      // Booleans of a list take a byte each.
      if (type === 1 || type === 2) this.at += 1;
      else this.#value(type, depth);
    }
  }

  #site(kind: NumberSite['kind']): number {
    const start = this.at;
    const value = this.#varint();
    this.sites.push({ kind, start, end: this.at });
    return value;
  }

  #varint(): number {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new RangeError('an endless varint');
  }

  #byte(): number {
    const byte = this.#bytes[this.at];
    if (byte === undefined) throw new RangeError('the end');
    this.at += 1;
    return byte;
  }
}

export function varint(value: bigint): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return [...bytes, Number(rest)];
}

export function zigzag(value: bigint): number[] {
  return varint(BigInt.asUintN(64, (value << 1n) ^ (value >> 63n)));
}
