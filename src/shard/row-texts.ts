/** Rows of a query as JSON, each handed on as its text. */

import type { Projection } from '../table/index.ts';
import { encodeRow } from './encode-row.ts';
import type { RowSink } from './query.ts';

/** What holding a row takes beside its text. */
const HELD_ROW_BYTES = 128;

export function rowTexts(projection: Projection, take: (text: string) => void, isFull = () => false): RowSink {
  return {
    get isFull() {
      return isFull();
    },
    take(place, pins) {
      const text = encodeRow(place, projection, pins);
      if (text !== undefined) take(text);
      return text !== undefined;
    },
    hold(place, pins) {
      const text = encodeRow(place, projection, pins);
      // A character has two bytes where any of the text is beyond Latin-1.
      return text === undefined ? undefined : { bytes: 2 * text.length + HELD_ROW_BYTES, put: () => take(text) };
    },
  };
}
