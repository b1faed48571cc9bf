/** The places of one row group, which are forgotten like what lookups learned, while no block of it is in memory. */

import type { LearnedOwner } from '../cache/index.ts';
import { BlockPlaces } from './block-places.ts';

export class RowGroupPlaces implements LearnedOwner {
  readonly places: BlockPlaces;
  /** A page is about to be admitted there. */
  isUsed = true;
  readonly forget: () => void;

  constructor(columns: number, isShared: boolean, forget: () => void) {
    this.places = new BlockPlaces(columns, isShared);
    this.forget = forget;
  }

  takeUsed(): boolean {
    const { isUsed } = this;
    this.isUsed = false;
    return isUsed;
  }
}
