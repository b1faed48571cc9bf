/**
 * The typed views over one buffer, each made when it is first asked for and then kept.
 *
 * Whatever lies in the buffer is read by its place in the whole of it, so that one set of views serves everything
 * that a slab of memory holds. A view ends at the last whole word of its width.
 */

/** Node's own slices; they take no view and no copy. */
export type SlicingBuffer = Buffer & {
  latin1Slice(start: number, end: number): string;
  utf8Slice(start: number, end: number): string;
};

export class BufferViews {
  readonly buffer: ArrayBufferLike;
  #bytes: SlicingBuffer | undefined = undefined;
  #uint16s: Uint16Array | undefined = undefined;
  #int32s: Int32Array | undefined = undefined;
  #uint32s: Uint32Array | undefined = undefined;
  #int64s: BigInt64Array | undefined = undefined;
  #uint64s: BigUint64Array | undefined = undefined;
  #float32s: Float32Array | undefined = undefined;
  #float64s: Float64Array | undefined = undefined;

  constructor(buffer: ArrayBufferLike) {
    this.buffer = buffer;
  }

  get bytes(): SlicingBuffer {
    this.#bytes ??= Buffer.from(this.buffer as ArrayBuffer) as SlicingBuffer;
    return this.#bytes;
  }

  get uint16s(): Uint16Array {
    this.#uint16s ??= new Uint16Array(this.buffer, 0, this.buffer.byteLength >>> 1);
    return this.#uint16s;
  }

  get int32s(): Int32Array {
    this.#int32s ??= new Int32Array(this.buffer, 0, this.buffer.byteLength >>> 2);
    return this.#int32s;
  }

  get uint32s(): Uint32Array {
    this.#uint32s ??= new Uint32Array(this.buffer, 0, this.buffer.byteLength >>> 2);
    return this.#uint32s;
  }

  get int64s(): BigInt64Array {
    this.#int64s ??= new BigInt64Array(this.buffer, 0, this.buffer.byteLength >>> 3);
    return this.#int64s;
  }

  get uint64s(): BigUint64Array {
    this.#uint64s ??= new BigUint64Array(this.buffer, 0, this.buffer.byteLength >>> 3);
    return this.#uint64s;
  }

  get float32s(): Float32Array {
    this.#float32s ??= new Float32Array(this.buffer, 0, this.buffer.byteLength >>> 2);
    return this.#float32s;
  }

  get float64s(): Float64Array {
    this.#float64s ??= new Float64Array(this.buffer, 0, this.buffer.byteLength >>> 3);
    return this.#float64s;
  }
}
