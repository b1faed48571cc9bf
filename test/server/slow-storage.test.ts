/** Storage that is slow, broken or changing: deadlines, disconnects, limits, and which status each fault has. */

import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ServiceError } from '../../src/core/index.ts';
import type { ObjectStore, StoreProvider } from '../../src/storage/index.ts';
import { expectProblem, type FixtureOptions, post, problemOf, startFixture } from './fixture.ts';

/** Storage whose reads a test can hold back or fail. Listing and heads go through. */
class Valve {
  held = false;
  fault: ServiceError | undefined = undefined;
  /** Reads that wait now, and those that were called off. */
  waiting = 0;
  aborted = 0;
  readonly #wake = new Set<() => void>();

  wrap = (stores: StoreProvider): StoreProvider => ({
    storeFor: (source) => this.#wrapped(stores.storeFor(source)),
  });

  release(): void {
    this.held = false;
    for (const wake of this.#wake) wake();
    this.#wake.clear();
  }

  #wrapped(inner: ObjectStore): ObjectStore {
    return {
      kind: inner.kind,
      cheapReads: inner.cheapReads,
      head: (key, options) => inner.head(key, options),
      list: (prefix, options) => inner.list(prefix, options),
      close: () => inner.close(),
      getRange: async (object, range, options) => {
        if (this.fault !== undefined) throw this.fault;
        if (this.held) await this.#wait(options?.signal);
        return inner.getRange(object, range, options);
      },
    };
  }

  async #wait(signal: AbortSignal | undefined): Promise<void> {
    this.waiting += 1;
    try {
      await new Promise<void>((resolve, reject) => {
        this.#wake.add(resolve);
        signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
      });
    } catch (reason) {
      this.aborted += 1;
      throw reason;
    } finally {
      this.waiting -= 1;
    }
  }
}

async function startWithValve(context: TestContext, options: FixtureOptions = {}) {
  const valve = new Valve();
  context.after(() => valve.release());
  const fixture = await startFixture(context, { ...options, node: { wrapStores: valve.wrap } });
  return { valve, ...fixture };
}

async function until(condition: () => boolean): Promise<void> {
  const started = performance.now();
  while (!condition()) {
    if (performance.now() - started > 5000) throw new Error(`never came true: ${condition}`);
    await nextTurn();
  }
}

test('a request that takes too long is answered at its deadline, and its reads are called off', async (context) => {
  const { url, valve } = await startWithValve(context);
  valve.held = true;
  const init = { headers: { 'pointlake-timeout-ms': '50' } };
  const started = performance.now();
  const problem = await expectProblem(`${url}/v1/tables/users/rows/1`, 504, 'timeout', init);
  assert.equal(problem.timeout_ms, 50);
  assert.ok(performance.now() - started < 3000);
  await expectProblem(`${url}/v1/tables/users/values/name/1`, 504, 'timeout', init);
  await until(() => valve.waiting === 0 && valve.aborted >= 1);
  valve.release();
  assert.equal((await fetch(`${url}/v1/tables/users/rows/1`)).status, 200);
});

test('the server has a deadline of its own, which no header extends', async (context) => {
  const { url, valve } = await startWithValve(context, { server: { deadlineMs: 40 } });
  valve.held = true;
  await expectProblem(`${url}/v1/tables/users/rows/1`, 504, 'timeout', {
    headers: { 'pointlake-timeout-ms': '60000' },
  });
});

test('a batch answers what it has, with timeout for the rest', async (context) => {
  const { url, valve } = await startWithValve(context);
  const lookup = `${url}/v1/tables/docs/lookup`;
  const keys = [
    ['us', 'plain'],
    ['us', 7],
    ['us', 'absent'],
  ];
  await post(lookup, JSON.stringify({ keys, columns: ['n'] }));
  valve.held = true;
  const body = JSON.stringify({ keys, columns: ['n', 'doc'] });
  assert.equal((await post(lookup, body)).status, 200);
  const cold = JSON.stringify({ keys: [1, 'x', 2], columns: ['name'] });
  const answer = await post(`${url}/v1/tables/users/lookup`, cold, { 'pointlake-timeout-ms': '50' });
  assert.equal(answer.status, 200);
  const { results } = (await answer.json()) as { results: { status: string }[] };
  assert.deepEqual(
    results.map(({ status }) => status),
    ['timeout', 'error', 'timeout'],
  );
});

test('a client that leaves takes its reads with it', async (context) => {
  const { url, valve } = await startWithValve(context);
  valve.held = true;
  for (const request of [
    (signal: AbortSignal) => fetch(`${url}/v1/tables/users/rows/1`, { signal }),
    (signal: AbortSignal) =>
      fetch(`${url}/v1/tables/users/lookup`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"keys":[2]}',
        signal,
      }),
  ]) {
    const { aborted } = valve;
    const leaving = new AbortController();
    const gone = assert.rejects(request(leaving.signal));
    await until(() => valve.waiting > 0);
    leaving.abort();
    await gone;
    await until(() => valve.waiting === 0);
    assert.ok(valve.aborted > aborted);
  }
});

test('batches over the limit are told to come back, and the place is free again later', async (context) => {
  const { url, valve } = await startWithValve(context, { server: { lookupsMax: 2 } });
  valve.held = true;
  const lookup = () => post(`${url}/v1/tables/users/lookup`, '{"keys":[1]}');
  const running = [lookup(), lookup()];
  await until(() => valve.waiting > 0);
  await nextTurn();
  const refused = await Promise.race([lookup(), ...running]);
  const problem = await problemOf(refused);
  assert.deepEqual([problem.status, problem.code], [429, 'overloaded']);
  valve.release();
  for (const answer of await Promise.all(running)) assert.equal(answer.status, 200);
  assert.equal((await lookup()).status, 200);
});

test('faults behind the server are 5xx, each with its code', async (context) => {
  const { url, valve } = await startWithValve(context);
  const row = `${url}/v1/tables/users/rows/1`;
  const faults: readonly (readonly [ServiceError, number])[] = [
    [new ServiceError('unavailable', 'access_denied', 'storage refused the credentials; check them'), 503],
    [new ServiceError('unavailable', 'unavailable', 'storage cannot answer now'), 503],
    // A client that is too slow has the same code, and 408.
    [new ServiceError('unavailable', 'request_timeout', 'storage did not answer within its time'), 503],
    [new ServiceError('changed', 'changed', 'the object changed again and again'), 503],
    [new ServiceError('overloaded', 'storage_overloaded', 'too many requests wait for storage'), 429],
  ];
  for (const [fault, status] of faults) {
    valve.fault = fault;
    const problem = await expectProblem(row, status, fault.code);
    assert.equal(problem.detail, fault.message);
    const answer = await post(`${url}/v1/tables/users/lookup`, '{"keys":[1,"x"]}');
    if (fault.kind === 'changed') assert.equal((await problemOf(answer)).code, 'changed');
    else {
      const { results } = (await answer.json()) as { results: { status: string; error: { code: string } }[] };
      assert.deepEqual(
        results.map(({ error }) => error.code),
        [fault.code, 'bad_key'],
      );
    }
  }
  valve.fault = undefined;
  assert.equal((await fetch(row)).status, 200);
});

test('a table without files is unavailable beside tables that serve; an empty one has no rows', async (context) => {
  const { url } = await startFixture(context);
  await expectProblem(`${url}/v1/tables/nothing/rows/1`, 503, 'no_files');
  assert.equal((await problemOf(await post(`${url}/v1/tables/nothing/lookup`, '{"keys":[1]}'))).code, 'no_files');
  await expectProblem(`${url}/v1/tables/empty/rows/1`, 404, 'key_not_found');
  await expectProblem(`${url}/v1/tables/empty/values/x/1`, 404, 'key_not_found');
  const lookup = await post(`${url}/v1/tables/empty/lookup`, '{"keys":[1],"columns":["x"]}');
  assert.equal(await lookup.text(), '{"results":[{"key":1,"status":"not_found"}]}');
  assert.equal((await fetch(`${url}/v1/tables/users/rows/1`)).status, 200);
});

test('a key that an unreadable file might hold is not covered, never absent', async (context) => {
  const { url } = await startFixture(context);
  assert.equal(await (await fetch(`${url}/v1/tables/halfBroken/rows/2`)).text(), '{"id":2,"name":"two"}');
  const problem = await expectProblem(`${url}/v1/tables/halfBroken/rows/9`, 503, 'not_covered');
  assert.match(JSON.stringify(problem.files), /text\.parquet/);
  const answer = await post(`${url}/v1/tables/halfBroken/lookup`, '{"keys":[1,9]}');
  const { results } = (await answer.json()) as { results: { status: string; error?: { code: string } }[] };
  assert.deepEqual(
    results.map(({ status }) => status),
    ['found', 'not_covered'],
  );
  assert.equal(results[1]?.error?.code, 'not_covered');
});

test('files that vanish while they are served are a fault behind the server', async (context) => {
  const { url, folder } = await startFixture(context);
  rmSync(join(folder, 'users.parquet'));
  const answer = await fetch(`${url}/v1/tables/users/rows/1`);
  // The descriptor may still be open and then the old version is read; never is the key called absent.
  if (answer.status !== 200) assert.equal((await problemOf(answer)).status, 503);
});
