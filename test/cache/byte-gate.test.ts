import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteGate } from '../../src/cache/index.ts';

const forever = new AbortController().signal;
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

test('random jobs: never more in flight than fits, except one alone; all run, in order, and all bytes come back', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 25 }), { minLength: 1, maxLength: 60 }), async (sizes) => {
      const gate = new ByteGate(20);
      const started: number[] = [];
      let running = 0;
      let inFlight = 0;
      const jobs = sizes.map((bytes, i) =>
        gate.run(bytes, forever, async () => {
          started.push(i);
          running += 1;
          inFlight += bytes;
          assert.ok(inFlight <= 20 || running === 1);
          assert.ok(gate.usedBytes >= inFlight, 'a turn is counted before its job begins');
          await turn();
          running -= 1;
          inFlight -= bytes;
        }),
      );
      await Promise.all(jobs);
      assert.deepEqual(
        started,
        sizes.map((_, i) => i),
      );
      assert.equal(gate.usedBytes, 0);
    }),
    { numRuns: 50 },
  );
});

test('a group takes more only while it has less than is left, so that one that hangs leaves room', async () => {
  const gate = new ByteGate(100);
  const hanging = Promise.withResolvers<void>();
  const hung = Array.from({ length: 20 }, () => gate.run(10, forever, () => hanging.promise, 'hangs'));
  await turn();
  assert.equal(gate.usedBytes, 50);
  for (let i = 0; i < 20; i++) await gate.run(10, forever, turn, 'works');
  assert.equal(await gate.run(50, forever, async () => 'the rest', 'works'), 'the rest');
  hanging.resolve();
  await Promise.all(hung);
  assert.equal(gate.usedBytes, 0);
});

test('random jobs of several groups: never more than fits, and each group in its order', async () => {
  const job = fc.record({ bytes: fc.integer({ min: 1, max: 25 }), group: fc.constantFrom('a', 'b', undefined) });
  await fc.assert(
    fc.asyncProperty(fc.array(job, { minLength: 1, maxLength: 60 }), async (jobs) => {
      const gate = new ByteGate(20);
      const started = new Map<unknown, number[]>();
      let running = 0;
      let inFlight = 0;
      const runs = jobs.map(({ bytes, group }, i) =>
        gate.run(
          bytes,
          forever,
          async () => {
            started.set(group, [...(started.get(group) ?? []), i]);
            running += 1;
            inFlight += bytes;
            assert.ok(inFlight <= 20 || running === 1);
            await turn();
            running -= 1;
            inFlight -= bytes;
          },
          group,
        ),
      );
      await Promise.all(runs);
      for (const order of started.values())
        assert.deepEqual(
          order,
          order.toSorted((a, b) => a - b),
        );
      assert.equal([...started.values()].flat().length, jobs.length);
      assert.equal(gate.usedBytes, 0);
    }),
    { numRuns: 50 },
  );
});

test('a waiter that leaves gives way to the next, and a job that fails gives its bytes back', async () => {
  const gate = new ByteGate(10);
  const { promise, resolve } = Promise.withResolvers<void>();
  const first = gate.run(8, forever, () => promise);
  const leaver = new AbortController();
  const left = gate.run(9, leaver.signal, async () => 'never');
  const small = gate.run(2, forever, async () => 'small');
  leaver.abort(new Error('deadline'));
  await assert.rejects(left, /deadline/);
  assert.equal(await small, 'small');
  resolve();
  await first;
  await assert.rejects(
    gate.run(10, forever, () => Promise.reject(new Error('broken'))),
    /broken/,
  );
  assert.equal(gate.usedBytes, 0);
});
