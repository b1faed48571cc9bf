/**
 * The body of a record batch, and its message: what Arrow's IPC format has around every batch of one schema is made once by
 * the package, and of each batch only its numbers are written over.
 *
 *     message: ff ff ff ff | u32 bytes of metadata | metadata: a flatbuffer | body: buffers, each from a multiple of 8 on
 */

import { assert } from '../core/index.ts';
import type { Arrow } from './arrow-types.ts';
import { ScratchWords } from './scratch-words.ts';

type AnySchema = InstanceType<Arrow['Schema']>;

const PREFIX_BYTES = 8;
const NODE_BYTES = 16;
const BUFFER_BYTES = 16;
/** Fields of the flatbuffers, as their vtables count them. */
const MESSAGE_HEADER = 2;
const MESSAGE_BODY_LENGTH = 3;
const BATCH_LENGTH = 0;
const BATCH_NODES = 1;
const BATCH_BUFFERS = 2;

/** Zero wherever nobody wrote. */
const scratch = new ScratchWords();

export const END_OF_STREAM: Uint8Array = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0);

/** What is written once a schema. */
export class ArrowFrame {
  readonly schemaMessage: Buffer;
  readonly #batchMessage: Buffer;
  readonly #lengthAt: number;
  /** Undefined where there is no column, and so no body. */
  readonly #bodyLengthAt: number | undefined;
  readonly #nodesAt: number;
  readonly #buffersAt: number;
  readonly #nodes: number;
  readonly #buffers: number;

  /** Every column's own data must be flat. */
  constructor(arrow: Arrow, schema: AnySchema) {
    // Of one row, since a flatbuffer leaves out fields that are 0.
    const children = schema.fields.map(({ type }) => arrow.vectorFromArray([null], type).data[0]);
    const struct = arrow.makeData({
      type: new arrow.Struct(schema.fields),
      length: 1,
      nullCount: 0,
      children: children as never,
    });
    const whole = arrow.RecordBatchStreamWriter.writeAll([new arrow.RecordBatch(schema, struct)]).toUint8Array(true);
    const bytes = Buffer.from(whole.buffer, whole.byteOffset, whole.length);
    const schemaEnd = PREFIX_BYTES + bytes.readInt32LE(4);
    const batchEnd = schemaEnd + PREFIX_BYTES + bytes.readInt32LE(schemaEnd + 4);
    this.schemaMessage = Buffer.from(bytes.subarray(0, schemaEnd));
    const message = Buffer.from(bytes.subarray(schemaEnd, batchEnd));
    this.#batchMessage = message;
    const root = PREFIX_BYTES + message.readUInt32LE(PREFIX_BYTES);
    this.#bodyLengthAt = optionalFieldAt(message, root, MESSAGE_BODY_LENGTH);
    const batch = followed(message, fieldAt(message, root, MESSAGE_HEADER));
    this.#lengthAt = fieldAt(message, batch, BATCH_LENGTH);
    const nodes = followed(message, fieldAt(message, batch, BATCH_NODES));
    const buffers = followed(message, fieldAt(message, batch, BATCH_BUFFERS));
    this.#nodes = message.readUInt32LE(nodes);
    this.#buffers = message.readUInt32LE(buffers);
    this.#nodesAt = nodes + 4;
    this.#buffersAt = buffers + 4;
    assert(this.#nodes === schema.fields.length, 'every column of an answer is flat');
  }

  /** One batch, with `before` ahead of its message and `after` behind it. */
  batch(before: Uint8Array, rows: number, body: ArrowBody, after: Uint8Array): Buffer {
    const { nullCounts, places } = body;
    assert(nullCounts.length === this.#nodes && places.length === 2 * this.#buffers, 'the body is of another schema');
    assert(this.#bodyLengthAt !== undefined || body.end === 0, 'a body has a length');
    const start = before.length;
    const bodyAt = start + this.#batchMessage.length;
    const out = Buffer.allocUnsafe(bodyAt + body.end + after.length);
    out.set(before, 0);
    out.set(this.#batchMessage, start);
    writeLong(out, start + this.#lengthAt, rows);
    if (this.#bodyLengthAt !== undefined) writeLong(out, start + this.#bodyLengthAt, body.end);
    for (let i = 0; i < this.#nodes; i++) {
      writeLong(out, start + this.#nodesAt + NODE_BYTES * i, rows);
      writeLong(out, start + this.#nodesAt + NODE_BYTES * i + 8, nullCounts[i] as number);
    }
    for (let i = 0; i < this.#buffers; i++) {
      writeLong(out, start + this.#buffersAt + BUFFER_BYTES * i, places[2 * i] as number);
      writeLong(out, start + this.#buffersAt + BUFFER_BYTES * i + 8, places[2 * i + 1] as number);
    }
    out.set(body.bytes.subarray(0, body.end), bodyAt);
    out.set(after, bodyAt + body.end);
    return out;
  }
}

/** Buffers one after the other, each at a multiple of 8, zero wherever nobody wrote. */
export class ArrowBody {
  words: Uint32Array<ArrayBuffer>;
  bytes: Buffer;
  end = 0;
  /** By column. */
  readonly nullCounts: number[] = [];
  /** Offset and length of each buffer in turn. */
  readonly places: number[] = [];

  /** `bytesExpected` is only a first guess. The body lies in memory of `scratch` until `done`. */
  constructor(bytesExpected: number) {
    this.words = scratch.take(Math.ceil(bytesExpected / 4));
    this.bytes = Buffer.from(this.words.buffer);
  }

  /** To be called when it was copied out. */
  done(): void {
    this.words.fill(0, 0, this.end >>> 2);
    scratch.give(this.words);
  }

  /** Where a buffer of that many bytes begins. */
  buffer(length: number): number {
    const at = this.end;
    this.end = at + Math.ceil(length / 8) * 8;
    if (this.end > this.bytes.length) {
      const grown = new Uint32Array(Math.ceil(Math.max(this.end, 2 * this.bytes.length) / 4));
      grown.set(this.words);
      this.words = grown;
      this.bytes = Buffer.from(grown.buffer);
    }
    this.places.push(at, length);
    return at;
  }
}

/** Where the field of a table lies. It is our own mistake where the package left it out. */
function fieldAt(message: Buffer, table: number, field: number): number {
  const at = optionalFieldAt(message, table, field);
  assert(at !== undefined, `a record batch message has field ${field}`);
  return at;
}

/** A table says how many fields it knows, and of these which it has. */
function optionalFieldAt(message: Buffer, table: number, field: number): number | undefined {
  const vtable = table - message.readInt32LE(table);
  const entry = 4 + 2 * field;
  const offset = entry < message.readUInt16LE(vtable) ? message.readUInt16LE(vtable + entry) : 0;
  return offset === 0 ? undefined : table + offset;
}

function followed(message: Buffer, at: number): number {
  return at + message.readUInt32LE(at);
}

function writeLong(out: Buffer, at: number, value: number): void {
  out.writeUInt32LE(value, at);
  out.writeUInt32LE(0, at + 4);
}
