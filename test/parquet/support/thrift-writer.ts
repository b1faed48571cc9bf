/** Writes Thrift's compact protocol field by field, so that tests and benches can make any footer, right or wrong. */

const INT32 = 5;
const INT64 = 6;

export class ThriftWriter {
  #bytes = Buffer.alloc(1024);
  #length = 0;
  #lastId = 0;

  take(): Uint8Array {
    return Uint8Array.from(this.#bytes.subarray(0, this.#length));
  }

  int32(id: number, value: number): this {
    return this.#field(id, INT32).#zigzag(BigInt(value));
  }

  int64(id: number, value: number | bigint): this {
    return this.#field(id, INT64).#zigzag(BigInt(value));
  }

  boolean(id: number, value: boolean): this {
    return this.#field(id, value ? 1 : 2);
  }

  byte(id: number, value: number): this {
    return this.#field(id, 3).raw([value]);
  }

  binary(id: number, value: string | Uint8Array): this {
    return this.#field(id, 8).binaryElement(value);
  }

  struct(id: number, write: () => void): this {
    return this.#field(id, 12).structElement(write);
  }

  list<T>(id: number, elementType: number, elements: readonly T[], write: (element: T, index: number) => void): this {
    this.listHeader(id, elementType, elements.length);
    elements.forEach(write);
    return this;
  }

  listHeader(id: number, elementType: number, size: number): this {
    this.#field(id, 9);
    if (size < 15) return this.raw([(size << 4) | elementType]);
    return this.raw([0xf0 | elementType]).#varint(BigInt(size));
  }

  structElement(write: () => void): this {
    const outer = this.#lastId;
    this.#lastId = 0;
    write();
    this.#lastId = outer;
    return this.raw([0]);
  }

  intElement(value: number | bigint): this {
    return this.#zigzag(BigInt(value));
  }

  binaryElement(value: string | Uint8Array): this {
    const bytes = typeof value === 'string' ? Buffer.from(value) : value;
    return this.#varint(BigInt(bytes.length)).raw(bytes);
  }

  raw(bytes: ArrayLike<number>): this {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  #reserve(length: number): void {
    if (this.#length + length <= this.#bytes.length) return;
    this.#bytes = Buffer.concat([this.#bytes, Buffer.alloc(this.#bytes.length + length)]);
  }

  #field(id: number, type: number): this {
    const delta = id - this.#lastId;
    this.#lastId = id;
    if (delta > 0 && delta < 16) return this.raw([(delta << 4) | type]);
    return this.raw([type]).#zigzag(BigInt(id));
  }

  #zigzag(value: bigint): this {
    return this.#varint(BigInt.asUintN(64, (value << 1n) ^ (value >> 63n)));
  }

  #varint(value: bigint): this {
    if (value < 0x8000_0000n) return this.#smallVarint(Number(value));
    const bytes: number[] = [];
    let rest = value;
    for (; rest >= 128n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
    bytes.push(Number(rest));
    return this.raw(bytes);
  }

  #smallVarint(value: number): this {
    this.#reserve(5);
    let rest = value;
    for (; rest >= 0x80; rest >>>= 7) this.#bytes[this.#length++] = (rest & 0x7f) | 0x80;
    this.#bytes[this.#length++] = rest;
    return this;
  }
}
