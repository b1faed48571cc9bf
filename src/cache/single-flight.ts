/**
 * One running job a key, however many ask for it.
 *
 * `run` takes a thunk, never a promise, since a promise has already begun. Every waiter may leave by its own signal
 * without disturbing the others; the job itself is aborted only when the last waiter has left. A failed job is
 * forgotten at once, so that the next caller tries again.
 */

interface Flight<V> {
  readonly result: Promise<V>;
  readonly controller: AbortController;
  /** Who began it. */
  readonly owner: unknown;
  waiters: number;
}

export class SingleFlight<K, V> {
  readonly #flights = new Map<K, Flight<V>>();

  /** How many jobs are running. */
  get size(): number {
    return this.#flights.size;
  }

  has(key: K): boolean {
    return this.#flights.has(key);
  }

  /** Whether the key's job runs and somebody else began it. */
  isOthers(key: K, owner: unknown): boolean {
    const flight = this.#flights.get(key);
    return flight !== undefined && flight.owner !== owner;
  }

  /** Joins the key's running job or starts one. Rejects with the signal's reason when this waiter leaves early. */
  run(key: K, job: (signal: AbortSignal) => Promise<V>, signal?: AbortSignal, owner?: unknown): Promise<V> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    const flight = this.#flights.get(key) ?? this.#start(key, job, owner);
    flight.waiters += 1;
    if (signal === undefined) return flight.result;
    return this.#waitWith(key, flight, signal);
  }

  #start(key: K, job: (signal: AbortSignal) => Promise<V>, owner: unknown): Flight<V> {
    const controller = new AbortController();
    const forget = () => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
    };
    const result = Promise.resolve().then(() => job(controller.signal));
    const flight: Flight<V> = { result, controller, owner, waiters: 0 };
    this.#flights.set(key, flight);
    result.then(forget, forget);
    return flight;
  }

  #waitWith(key: K, flight: Flight<V>, signal: AbortSignal): Promise<V> {
    return new Promise<V>((resolve, reject) => {
      const leave = () => {
        flight.waiters -= 1;
        if (flight.waiters === 0) {
          // Nobody else may join a job that is being aborted.
          if (this.#flights.get(key) === flight) this.#flights.delete(key);
          flight.controller.abort(signal.reason);
        }
        reject(signal.reason);
      };
      signal.addEventListener('abort', leave, { once: true });
      const settled = () => signal.removeEventListener('abort', leave);
      flight.result.then(
        (value) => {
          settled();
          resolve(value);
        },
        (error) => {
          settled();
          reject(error);
        },
      );
    });
  }
}
