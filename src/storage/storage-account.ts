/**
 * What a table has cost its storage: requests as they were sent, bytes that came back, and the money for both.
 *
 * It rides along with each request (`RequestOptions.account`) down to where HTTP requests are made, so that retries,
 * second requests and every page of a listing are on the bill of the table that caused them. Of a request that was
 * called off the bytes that had come are not counted. Local reads cost nothing and are not counted at all.
 */

import type { ObjectStore, RequestAccount, RequestOptions } from './object-store.ts';

export interface StoragePrices {
  /** US dollars for a thousand GETs or HEADs. */
  readonly getUsdPerThousand: number;
  readonly listUsdPerThousand: number;
  /** For 10^9 bytes: nothing inside the bucket's own region. */
  readonly transferUsdPerGb: number;
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

  bill(): StorageBill {
    const { getUsdPerThousand, listUsdPerThousand, transferUsdPerGb } = this.#prices;
    const requestsUsd = (this.#gets * getUsdPerThousand + this.#lists * listUsdPerThousand) / 1000;
    // Rounded to a billionth of a dollar, well under what one request costs.
    const usd = Math.round((requestsUsd + (this.#bytes / 1e9) * transferUsdPerGb) * 1e9) / 1e9;
    return { requests: this.#gets + this.#lists + this.#free, bytes: this.#bytes, usd };
  }
}

/** The store with every request on this account. */
export function onAccount(store: ObjectStore, account: RequestAccount): ObjectStore {
  const withAccount = <T extends RequestOptions>(options: T | undefined) => ({ ...options, account });
  return {
    kind: store.kind,
    cheapReads: store.cheapReads,
    head: (key, options) => store.head(key, withAccount(options)),
    getRange: (object, range, options) => store.getRange(object, range, withAccount(options)),
    list: (prefix, options) => store.list(prefix, withAccount(options)),
    close: () => store.close(),
  };
}
