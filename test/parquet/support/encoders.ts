/**
 * Plain encoders written from the specification, so that the decoders meet every width and run shape, not only those
 * that some writer happens to choose. Bits go through BigInt: slow and plainly right.
 */

/** `values` packed least significant bit first. */
export function packBits(values: readonly bigint[], bitWidth: number): number[] {
  let bits = 0n;
  values.forEach((value, i) => {
    bits |= BigInt.asUintN(bitWidth, value) << BigInt(i * bitWidth);
  });
  const bytes: number[] = [];
  for (let i = 0; i < Math.ceil((values.length * bitWidth) / 8); i += 1)
    bytes.push(Number((bits >> BigInt(8 * i)) & 0xffn));
  return bytes;
}

export function varint(value: bigint): number[] {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return bytes;
}

export function zigzag(value: bigint): number[] {
  const wrapped = BigInt.asIntN(64, value);
  return varint(BigInt.asUintN(64, (wrapped << 1n) ^ (wrapped >> 63n)));
}

export interface Run {
  readonly packed: boolean;
  readonly values: readonly number[];
}

/** Packed runs are padded with ones to groups of eight; a repeated run repeats its first value. */
export function rleBitPacked(runs: readonly Run[], bitWidth: number): Uint8Array {
  const bytes: number[] = [];
  for (const { packed, values } of runs) {
    if (packed) {
      const groups = Math.ceil(values.length / 8);
      bytes.push(...varint(BigInt((groups << 1) | 1)));
      const padded = [...values, ...new Array(groups * 8 - values.length).fill(2 ** bitWidth - 1)];
      bytes.push(...packBits(padded.map(BigInt), bitWidth));
    } else {
      bytes.push(...varint(BigInt(values.length << 1)));
      for (let i = 0; i < Math.ceil(bitWidth / 8); i += 1) bytes.push(Math.floor(values[0]! / 256 ** i) % 256);
    }
  }
  return Uint8Array.from(bytes);
}

/** Runs of which only the last may be packed with a padded group, as the format demands. */
export function valuesOfRuns(runs: readonly Run[]): number[] {
  return runs.flatMap(({ packed, values }) => (packed ? values : values.map(() => values[0]!)));
}

/** DELTA_BINARY_PACKED of wrapping integers of `bits` bits. */
export function deltaBinaryPacked(
  values: readonly bigint[],
  bits: 32 | 64,
  blockSize: number,
  miniblocks: number,
): Uint8Array {
  const bytes = [...varint(BigInt(blockSize)), ...varint(BigInt(miniblocks)), ...varint(BigInt(values.length))];
  bytes.push(...zigzag(values[0] ?? 0n));
  const deltas = values.slice(1).map((value, i) => BigInt.asIntN(bits, value - values[i]!));
  const size = blockSize / miniblocks;
  for (let at = 0; at < deltas.length; at += blockSize) {
    const block = deltas.slice(at, at + blockSize);
    let min = block[0] ?? 0n;
    for (const delta of block) if (delta < min) min = delta;
    const parts = Array.from({ length: miniblocks }, (_, m) =>
      block.slice(m * size, (m + 1) * size).map((delta) => BigInt.asUintN(bits, delta - min)),
    );
    const widths = parts.map((part) => part.reduce((width, value) => Math.max(width, value.toString(2).length), 0));
    // A miniblock of zeros has no bits; one that holds nothing may say any width and has no bytes.
    const stored = widths.map((width, m) =>
      parts[m]!.length === 0 ? 77 : parts[m]!.every((v) => v === 0n) ? 0 : width,
    );
    bytes.push(...zigzag(min), ...stored);
    parts.forEach((part, m) => {
      if (part.length === 0) return;
      bytes.push(...packBits([...part, ...new Array<bigint>(size - part.length).fill(0n)], stored[m]!));
    });
  }
  return Uint8Array.from(bytes);
}
