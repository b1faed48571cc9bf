/**
 * What a table has cost its storage: requests as they were sent, bytes that came back, and the money for both.
 *
 * It rides along with each request (`RequestOptions.account`) down to where HTTP requests are made, so that retries,
 * second requests and every page of a listing are on the bill of the table that caused them. Of a request that was
 * called off the bytes that had come are not counted. Local reads cost nothing and are not counted at all.
 */

import { rangeLength } from '../core/index.ts';
import type { ObjectStore, RequestAccount, RequestOptions } from './object-store.ts';

export interface StoragePrices {
  /** US dollars for a thousand GETs or HEADs. */
  readonly getUsdPerThousand: number;
  readonly listUsdPerThousand: number;
  /** For 10^9 bytes: nothing inside the bucket's own region. */
  readonly transferUsdPerGb: number;
}

/** What was sent, for counters that go on for ever. */
export interface StorageTotals {
  /** GETs and HEADs that are charged. */
  readonly gets: number;
  readonly lists: number;
  /** To servers that do not charge a request. */
  readonly free: number;
  readonly bytes: number;
  /** Reads of storage as the table asked for them, local files included, and their bytes. */
  readonly reads: number;
  readonly readBytes: number;
  /** Ranges that needed no read of their own. */
  readonly joined: number;
}

export interface StorageBill {
  readonly requests: number;
  readonly bytes: number;
  readonly usd: number;
}

/** S3 Standard in us-east-1, read from the same region. */
export const S3_STANDARD_PRICES: StoragePrices = {
  getUsdPerThousand: 0.0004,
  listUsdPerThousand: 0.005,
  transferUsdPerGb: 0,
};

export class StorageAccount implements RequestAccount {
  readonly #prices: StoragePrices;
  #gets = 0;
  #lists = 0;
  /** Of servers that do not charge a request. */
  #free = 0;
  #bytes = 0;
  #reads = 0;
  #readBytes = 0;
  #joined = 0;

  constructor(prices: Partial<StoragePrices> = {}) {
    this.#prices = { ...S3_STANDARD_PRICES, ...prices };
  }

  sent(priced: 'get' | 'list' | 'free'): void {
    if (priced === 'get') this.#gets += 1;
    else if (priced === 'list') this.#lists += 1;
    else this.#free += 1;
  }

  received(bytes: number): void {
    this.#bytes += bytes;
  }

  reads(bytes: number): void {
    this.#reads += 1;
    this.#readBytes += bytes;
  }

  joined(ranges: number): void {
    this.#joined += ranges;
  }

  totals(): StorageTotals {
    return {
      gets: this.#gets,
      lists: this.#lists,
      free: this.#free,
      bytes: this.#bytes,
      reads: this.#reads,
      readBytes: this.#readBytes,
      joined: this.#joined,
    };
  }

  bill(): StorageBill {
    const usd = this.priceUsd(this.#gets, this.#lists, this.#bytes);
    return { requests: this.#gets + this.#lists + this.#free, bytes: this.#bytes, usd };
  }

  /** What so much costs at this account's prices. */
  priceUsd(gets: number, lists: number, bytes: number): number {
    const { getUsdPerThousand, listUsdPerThousand, transferUsdPerGb } = this.#prices;
    const requestsUsd = (gets * getUsdPerThousand + lists * listUsdPerThousand) / 1000;
    // Rounded to a billionth of a dollar, well under what one request costs.
    return Math.round((requestsUsd + (bytes / 1e9) * transferUsdPerGb) * 1e9) / 1e9;
  }
}

/** The store with every request on this account, beside the one that it comes with. */
export function onAccount(store: ObjectStore, account: RequestAccount): ObjectStore {
  const withAccount = <T extends RequestOptions>(options: T | undefined) => {
    const own = options?.account;
    return { ...options, account: own === undefined ? account : onBoth(account, own) };
  };
  return {
    kind: store.kind,
    cheapReads: store.cheapReads,
    head: (key, options) => store.head(key, withAccount(options)),
    getRange: (object, range, options) => {
      const told = withAccount(options);
      told.account.reads?.(rangeLength(range));
      return store.getRange(object, range, told);
    },
    list: (prefix, options) => store.list(prefix, withAccount(options)),
    close: () => store.close(),
  };
}

function onBoth(table: RequestAccount, own: RequestAccount): RequestAccount {
  return {
    sent(priced) {
      table.sent(priced);
      own.sent(priced);
    },
    received(bytes) {
      table.received(bytes);
      own.received(bytes);
    },
    reads(bytes) {
      table.reads?.(bytes);
      own.reads?.(bytes);
    },
  };
}
