/** Bytes that grow at their end. */

export class GrowingBytes {
  bytes: Buffer;
  view: DataView;
  length = 0;

  constructor(initialBytes = 1024) {
    this.bytes = Buffer.allocUnsafeSlow(initialBytes);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Makes room and returns where it begins. */
  extend(more: number): number {
    const at = this.length;
    this.length = at + more;
    if (this.length > this.bytes.length) {
      const larger = Buffer.allocUnsafeSlow(2 * this.length);
      this.bytes.copy(larger, 0, 0, at);
      this.bytes = larger;
      this.view = new DataView(larger.buffer);
    }
    return at;
  }

  byte(value: number): void {
    // Growing replaces the view.
    const at = this.extend(1);
    this.view.setUint8(at, value);
  }

  uint32(value: number): void {
    const at = this.extend(4);
    this.view.setUint32(at, value, true);
  }

  append(source: Uint8Array, start = 0, end = source.length): void {
    const at = this.extend(end - start);
    if (end - start > 32) this.bytes.set(source.subarray(start, end), at);
    else for (let i = start; i < end; i += 1) this.bytes[at + i - start] = source[i] ?? 0;
  }

  /** What has been written, valid until the next write. */
  written(): Buffer {
    return this.bytes.subarray(0, this.length);
  }

  clear(): void {
    this.length = 0;
  }
}
