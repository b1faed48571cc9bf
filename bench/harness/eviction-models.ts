/** Policies of eviction as their papers have them, by bytes, over names only: what the memory tier is held against. */

export interface CacheModel {
  /** Whether the block is there; if not it is taken in. */
  access(block: number, bytes: number): boolean;
}

export function lru(capacity: number): CacheModel {
  const kept = new Map<number, number>();
  let used = 0;
  return {
    access(block, bytes) {
      const isHit = kept.delete(block);
      kept.set(block, bytes);
      if (isHit) return true;
      used += bytes;
      while (used > capacity) {
        const [oldest, size] = kept.entries().next().value as [number, number];
        kept.delete(oldest);
        used -= size;
      }
      return false;
    },
  };
}

interface SieveNode {
  readonly block: number;
  readonly bytes: number;
  isVisited: boolean;
  newer: SieveNode | undefined;
  older: SieveNode | undefined;
}

/** Zhang et al., NSDI 2024. */
export function sieve(capacity: number): CacheModel {
  const kept = new Map<number, SieveNode>();
  let used = 0;
  let newest: SieveNode | undefined;
  let oldest: SieveNode | undefined;
  let hand: SieveNode | undefined;
  const evict = () => {
    let node = hand ?? oldest;
    while (node?.isVisited) {
      node.isVisited = false;
      node = node.newer ?? oldest;
    }
    if (node === undefined) return;
    hand = node.newer;
    if (node.newer) node.newer.older = node.older;
    else newest = node.older;
    if (node.older) node.older.newer = node.newer;
    else oldest = node.newer;
    kept.delete(node.block);
    used -= node.bytes;
  };
  return {
    access(block, bytes) {
      const known = kept.get(block);
      if (known !== undefined) {
        known.isVisited = true;
        return true;
      }
      while (used + bytes > capacity) evict();
      const node: SieveNode = { block, bytes, isVisited: false, newer: undefined, older: newest };
      if (newest) newest.newer = node;
      newest = node;
      oldest ??= node;
      kept.set(block, node);
      used += bytes;
      return false;
    },
  };
}

interface Counted {
  readonly bytes: number;
  reads: number;
}

/** Yang et al., SOSP 2023: a small queue of a tenth, a main one, and names of what left the small one. */
export function s3Fifo(capacity: number): CacheModel {
  const small = new Map<number, Counted>();
  const main = new Map<number, Counted>();
  const ghosts = new Map<number, number>();
  let smallBytes = 0;
  let mainBytes = 0;
  let ghostBytes = 0;
  const remember = (block: number, bytes: number) => {
    ghosts.set(block, bytes);
    ghostBytes += bytes;
    for (const [oldest, size] of ghosts) {
      if (ghostBytes <= 0.9 * capacity) break;
      ghosts.delete(oldest);
      ghostBytes -= size;
    }
  };
  const evictMain = () => {
    for (const [block, entry] of main) {
      main.delete(block);
      if (entry.reads > 0) {
        entry.reads -= 1;
        main.set(block, entry);
        continue;
      }
      mainBytes -= entry.bytes;
      return;
    }
  };
  const evictSmall = () => {
    for (const [block, entry] of small) {
      small.delete(block);
      smallBytes -= entry.bytes;
      if (entry.reads > 1) {
        main.set(block, { bytes: entry.bytes, reads: 0 });
        mainBytes += entry.bytes;
        while (mainBytes > 0.9 * capacity) evictMain();
        continue;
      }
      remember(block, entry.bytes);
      return;
    }
  };
  return {
    access(block, bytes) {
      const known = small.get(block) ?? main.get(block);
      if (known !== undefined) {
        known.reads = Math.min(3, known.reads + 1);
        return true;
      }
      while (smallBytes + mainBytes + bytes > capacity) {
        if (smallBytes >= 0.1 * capacity || main.size === 0) evictSmall();
        else evictMain();
      }
      const ghost = ghosts.get(block);
      if (ghost !== undefined) {
        ghosts.delete(block);
        ghostBytes -= ghost;
        main.set(block, { bytes, reads: 0 });
        mainBytes += bytes;
      } else {
        small.set(block, { bytes, reads: 0 });
        smallBytes += bytes;
      }
      return false;
    },
  };
}

/** Einziger et al., 2017: a window of a hundredth, a segmented main, and a sketch of how often each name was asked for. */
export function wTinyLfu(capacity: number, blocks: number): CacheModel {
  const window = new Map<number, number>();
  const probation = new Map<number, number>();
  const shielded = new Map<number, number>();
  const used = { window: 0, main: 0, shielded: 0 };
  // Exact counters with the sketch's ageing: every ten accesses a block that fits, all are halved.
  const counts = new Uint8Array(blocks);
  let counted = 0;
  let fits = 64;
  const count = (block: number) => {
    counts[block] = Math.min(15, counts[block]! + 1);
    counted += 1;
    fits = Math.max(fits, window.size + probation.size + shielded.size);
    if (counted < 10 * fits) return;
    counted = 0;
    for (let i = 0; i < counts.length; i++) counts[i]! >>>= 1;
  };
  const first = (of: Map<number, number>) => of.entries().next().value as [number, number] | undefined;
  const offer = (block: number, bytes: number) => {
    while (used.main + bytes > 0.99 * capacity) {
      const victim = first(probation) ?? first(shielded);
      if (victim === undefined || counts[victim[0]]! >= counts[block]!) return;
      if (!probation.delete(victim[0])) {
        shielded.delete(victim[0]);
        used.shielded -= victim[1];
      }
      used.main -= victim[1];
    }
    probation.set(block, bytes);
    used.main += bytes;
  };
  return {
    access(block, bytes) {
      count(block);
      if (window.delete(block)) {
        window.set(block, bytes);
        return true;
      }
      if (shielded.delete(block)) {
        shielded.set(block, bytes);
        return true;
      }
      if (probation.delete(block)) {
        shielded.set(block, bytes);
        used.shielded += bytes;
        while (used.shielded > 0.8 * capacity) {
          const [oldest, size] = first(shielded) as [number, number];
          shielded.delete(oldest);
          used.shielded -= size;
          probation.set(oldest, size);
        }
        return true;
      }
      window.set(block, bytes);
      used.window += bytes;
      while (used.window > 0.01 * capacity) {
        const [oldest, size] = first(window) as [number, number];
        window.delete(oldest);
        used.window -= size;
        offer(oldest, size);
      }
      return false;
    },
  };
}
