/** How the refreshes of one table went: for its status, and for requests that say how old their answer may be. */

/** Between refreshes where the table says nothing else. */
const REFRESH_MS_DEFAULT = 5 * 60_000;

export class RefreshLog {
  readonly intervalMs: number;
  /** Refreshes that were begun, which also numbers them. */
  begun = 0;
  succeeded = 0;
  failed = 0;
  /** The number of the last one that succeeded: it saw everything that was written before it began. */
  lastSucceeded = 0;
  lastAttemptAtMs: number | undefined = undefined;
  lastSuccessAtMs: number | undefined = undefined;
  /** When the next one is due by itself. */
  nextAtMs: number | undefined = undefined;
  /** LIST requests that the last successful one took. */
  listsLast = 0;

  constructor(intervalMs: number | undefined) {
    this.intervalMs = intervalMs ?? REFRESH_MS_DEFAULT;
  }

  begin(nowMs: number): number {
    this.begun += 1;
    this.lastAttemptAtMs = nowMs;
    return this.begun;
  }

  succeed(number: number, nowMs: number, lists: number): void {
    this.succeeded += 1;
    this.lastSucceeded = number;
    this.lastSuccessAtMs = nowMs;
    this.listsLast = lists;
  }
}
