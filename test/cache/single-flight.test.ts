import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SingleFlight } from '../../src/cache/index.ts';

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

test('callers that come while a job runs share it, and each gets its result', async () => {
  const flights = new SingleFlight<string, number>();
  const { promise, resolve } = Promise.withResolvers<number>();
  let started = 0;
  const job = () => {
    started += 1;
    return promise;
  };
  const answers = Array.from({ length: 1000 }, () => flights.run('a', job, new AbortController().signal));
  resolve(7);
  assert.deepEqual(new Set(await Promise.all(answers)), new Set([7]));
  assert.equal(started, 1);
  assert.equal(flights.size, 0);
});

test('different keys are different jobs', async () => {
  const flights = new SingleFlight<number, number>();
  assert.deepEqual(await Promise.all([1, 2, 3].map((key) => flights.run(key, async () => key * 10))), [10, 20, 30]);
});

test('a late joiner that comes after the end starts anew', async () => {
  const flights = new SingleFlight<string, number>();
  let started = 0;
  const job = async () => ++started;
  assert.equal(await flights.run('a', job), 1);
  assert.equal(await flights.run('a', job), 2);
});

test('an error reaches every waiter and is forgotten', async () => {
  const flights = new SingleFlight<string, number>();
  const failing = () => Promise.reject(new Error('boom'));
  const waiters = [flights.run('a', failing), flights.run('a', failing, new AbortController().signal)];
  for (const waiter of waiters) await assert.rejects(waiter, /boom/);
  assert.equal(await flights.run('a', async () => 1), 1);
});

test('a job that throws at once is an error like any other', async () => {
  const flights = new SingleFlight<string, number>();
  await assert.rejects(
    flights.run('a', () => {
      throw new Error('at once');
    }),
    /at once/,
  );
  assert.equal(flights.size, 0);
});

test('a waiter that leaves gets its own reason and does not disturb the others', async () => {
  const flights = new SingleFlight<string, number>();
  const { promise, resolve } = Promise.withResolvers<number>();
  let aborted = false;
  const job = (signal: AbortSignal) => {
    signal.addEventListener('abort', () => {
      aborted = true;
    });
    return promise;
  };
  const leaver = new AbortController();
  const left = flights.run('a', job, leaver.signal);
  const stayed = flights.run('a', job, new AbortController().signal);
  leaver.abort(new Error('I leave'));
  await assert.rejects(left, /I leave/);
  resolve(1);
  assert.equal(await stayed, 1);
  assert.equal(aborted, false);
});

test('the job is aborted when the last waiter leaves, and the next caller starts a new one', async () => {
  const flights = new SingleFlight<string, number>();
  let signalOfJob: AbortSignal | undefined;
  const never = (signal: AbortSignal) => {
    signalOfJob = signal;
    return new Promise<number>(() => undefined);
  };
  const leavers = [new AbortController(), new AbortController()];
  const waits = leavers.map((leaver) => flights.run('a', never, leaver.signal));
  await turn();
  leavers[0]?.abort(new Error('first'));
  assert.equal(signalOfJob?.aborted, false);
  leavers[1]?.abort(new Error('second'));
  assert.equal(signalOfJob?.aborted, true);
  await Promise.all(waits.map((wait) => assert.rejects(wait)));
  assert.equal(await flights.run('a', async () => 5), 5);
});

test('a waiter without a signal keeps the job alive', async () => {
  const flights = new SingleFlight<string, number>();
  const { promise, resolve } = Promise.withResolvers<number>();
  let signalOfJob: AbortSignal | undefined;
  const job = (signal: AbortSignal) => {
    signalOfJob = signal;
    return promise;
  };
  const leaver = new AbortController();
  const stayed = flights.run('a', job);
  const left = flights.run('a', job, leaver.signal);
  await turn();
  leaver.abort(new Error('bye'));
  await assert.rejects(left, /bye/);
  assert.equal(signalOfJob?.aborted, false);
  resolve(3);
  assert.equal(await stayed, 3);
});

test('a caller that has left already starts nothing', async () => {
  const flights = new SingleFlight<string, number>();
  let started = 0;
  await assert.rejects(
    flights.run('a', async () => ++started, AbortSignal.abort(new Error('gone'))),
    /gone/,
  );
  await turn();
  assert.equal(started, 0);
});
