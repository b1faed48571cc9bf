/** Who has blocks in the memory tier, by number; a number is given again when the last block of a released owner left. */

import type { BufferViews } from '../core/index.ts';
import type { MemoryQuota } from './memory-quota.ts';

/** Whoever has blocks: its slots are numbered, and each holds a block's location or nothing. */
export interface BlockOwner {
  /** 0 where nothing is. */
  locationOf(slot: number): number;
  /** The block is in memory from now on; if it stays in the memory it came in, the owner holds it. */
  admitted(slot: number, location: number, block: AdmittedBlock, isOutside: boolean): void;
  /** It lies elsewhere from now on. */
  moved(slot: number, location: number, tag: number, wasRead: boolean): void;
  evicted(slot: number, tag: number): void;
  /** Whether the block was read since it came, or since this was asked last. */
  takeRead(slot: number): boolean;
}

/** A block, and the memory that it is in. */
export interface AdmittedBlock {
  readonly views: BufferViews;
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** A block that waits to be taken in. */
export interface Admission {
  readonly state: OwnerState;
  readonly slot: number;
  readonly tag: number;
  readonly block: AdmittedBlock;
}

export interface OwnerState {
  readonly id: number;
  readonly owner: BlockOwner;
  /** Of its table. */
  readonly quota: MemoryQuota;
  residents: number;
  isReleased: boolean;
}

/** Takes the mark that the block was read; one that its owner let go of is not wanted. */
export function wasRead(state: OwnerState | undefined, slot: number): boolean {
  return state !== undefined && !state.isReleased && state.owner.takeRead(slot);
}

export class MemoryOwners {
  readonly #states: (OwnerState | undefined)[] = [];
  readonly #free: number[] = [];

  add(owner: BlockOwner, quota: MemoryQuota): number {
    const id = this.#free.pop() ?? this.#states.length;
    this.#states[id] = { id, owner, quota, residents: 0, isReleased: false };
    return id;
  }

  of(id: number): OwnerState | undefined {
    return this.#states[id];
  }

  /** Forgets one that was released, once it has nothing in memory. */
  forget(state: OwnerState): void {
    if (!state.isReleased || state.residents > 0 || this.#states[state.id] !== state) return;
    this.#states[state.id] = undefined;
    this.#free.push(state.id);
  }
}
