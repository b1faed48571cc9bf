/** Thrift's compact protocol, written: what `ThriftReader` of the Parquet room reads. Fields are given in ascending order. */

const I32 = 5;
const I64 = 6;
const BINARY = 8;
const LIST = 9;
const STRUCT = 12;

export class ThriftWriter {
  #bytes = Buffer.allocUnsafe(1024);
  #length = 0;
  readonly #fields: number[] = [];
  #field = 0;

  /** The bytes so far, which later writes do not change. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  i32(field: number, value: number): void {
    this.#header(field, I32);
    this.#zigzag(value);
  }

  i64(field: number, value: number): void {
    this.#header(field, I64);
    this.#zigzag(value);
  }

  bool(field: number, value: boolean): void {
    this.#header(field, value ? 1 : 2);
  }

  binary(field: number, value: Uint8Array): void {
    this.#header(field, BINARY);
    this.#binary(value);
  }

  struct(field: number, write: () => void): void {
    this.#header(field, STRUCT);
    this.#inStruct(write);
  }

  structs<Item>(field: number, items: readonly Item[], write: (item: Item) => void): void {
    this.#list(field, STRUCT, items.length);
    for (const item of items) this.#inStruct(() => write(item));
  }

  i32s(field: number, values: readonly number[]): void {
    this.#list(field, I32, values.length);
    for (const value of values) this.#zigzag(value);
  }

  i64s(field: number, values: readonly number[]): void {
    this.#list(field, I64, values.length);
    for (const value of values) this.#zigzag(value);
  }

  bools(field: number, values: readonly boolean[]): void {
    this.#list(field, 1, values.length);
    for (const value of values) this.#byte(value ? 1 : 2);
  }

  binaries(field: number, values: readonly Uint8Array[]): void {
    this.#list(field, BINARY, values.length);
    for (const value of values) this.#binary(value);
  }

  /** A list that is Thrift already, its header included. */
  encodedList(field: number, bytes: Uint8Array): void {
    this.#header(field, LIST);
    this.#raw(bytes);
  }

  /** The end of the outermost struct. */
  stop(): void {
    this.#byte(0);
  }

  #inStruct(write: () => void): void {
    this.#fields.push(this.#field);
    this.#field = 0;
    write();
    this.#byte(0);
    this.#field = this.#fields.pop() ?? 0;
  }

  #header(field: number, type: number): void {
    const delta = field - this.#field;
    this.#field = field;
    if (delta > 0 && delta <= 15) this.#byte((delta << 4) | type);
    else {
      this.#byte(type);
      this.#zigzag(field);
    }
  }

  #list(field: number, type: number, size: number): void {
    this.#header(field, LIST);
    if (size < 15) this.#byte((size << 4) | type);
    else {
      this.#byte(0xf0 | type);
      this.#varint(size);
    }
  }

  #binary(value: Uint8Array): void {
    this.#varint(value.length);
    this.#raw(value);
  }

  /** Whole numbers up to 2^52. */
  #zigzag(value: number): void {
    this.#varint(value < 0 ? -2 * value - 1 : 2 * value);
  }

  #varint(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.#byte((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    this.#byte(rest);
  }

  #byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length] = value;
    this.#length += 1;
  }

  #raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(2 * (this.#length + more));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}
