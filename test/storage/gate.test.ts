/** Bounds on what runs and on what waits: the gate itself, and the store that stands behind one. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ServiceError } from '../../src/core/index.ts';
import { Gate, LimitedStore, type ObjectMeta, type ObjectStore } from '../../src/storage/index.ts';
import { oldBytes } from '../support/old-generation.ts';

const tick = () => new Promise((next) => setImmediate(next));

const TURNS = 20_000;

/** Bytes a turn that stay until V8 collects all of its heap, in three rounds: what is compiled meanwhile comes to a few dozen. */
async function bytesATurn(turn: () => unknown): Promise<readonly number[]> {
  const rounds: number[] = [];
  for (let round = 0; round < 4; round++) {
    const before = oldBytes();
    for (let i = 0; i < TURNS; i++) await turn();
    rounds.push((oldBytes() - before) / TURNS);
  }
  return rounds.slice(1);
}

describe('a gate', () => {
  it('leaves nothing behind a turn that only a collection of all of the heap frees, as a map that empties does', async () => {
    const gate = new Gate({ maxConcurrent: 2, maxQueued: 10, name: 'tests' });
    const bytes = await bytesATurn(() => gate.run(async () => undefined, undefined, 'a'));
    const map = new Map<string, number>();
    const ofMap = await bytesATurn(() => {
      map.set('a', 1);
      map.delete('a');
    });
    const told = `${bytes.map(Math.round).join(', ')} bytes of each stay, ${ofMap.map(Math.round).join(', ')} of a map`;
    assert.ok(Math.max(...ofMap) > 120, told);
    // Beside other tests a few dozen bytes of promises stay too.
    assert.ok(Math.min(...bytes) < 0.6 * Math.max(...ofMap), told);
  });

  it('forgets groups that do nothing, when there are many, and none that runs or waits', async () => {
    const gate = new Gate({ maxConcurrent: 3, maxQueued: 10, name: 'tests' });
    const held = Promise.withResolvers<void>();
    const running = gate.run(() => held.promise, undefined, 'held');
    for (let i = 0; i < 1000; i++) await gate.run(async () => undefined, undefined, `group ${i}`);
    assert.ok(gate.groups <= 65, `${gate.groups} groups`);
    const second = gate.run(() => held.promise, undefined, 'held');
    let isThird = false;
    const third = gate.run(
      async () => {
        isThird = true;
      },
      undefined,
      'held',
    );
    await tick();
    assert.equal(isThird, false, 'its group is known to run two already');
    held.resolve();
    await Promise.all([running, second, third]);
    assert.equal(isThird, true);
  });

  it('runs so many at once, the others in the order they came', async () => {
    const gate = new Gate({ maxConcurrent: 2, maxQueued: 10, name: 'tests' });
    const started: number[] = [];
    const finish: (() => void)[] = [];
    const runs = [0, 1, 2, 3, 4].map((i) =>
      gate.run(() => {
        started.push(i);
        return new Promise<void>((done) => finish.push(done));
      }),
    );
    await tick();
    assert.deepEqual(started, [0, 1]);
    assert.deepEqual({ running: gate.running, queued: gate.queued }, { running: 2, queued: 3 });
    for (const expected of [3, 4, 5, 5, 5]) {
      finish.shift()?.();
      await tick();
      assert.equal(started.length, expected);
    }
    await Promise.all(runs);
    assert.deepEqual(started, [0, 1, 2, 3, 4]);
    assert.deepEqual({ running: gate.running, queued: gate.queued }, { running: 0, queued: 0 });
  });

  it('refuses one more than its queue takes, saying what is full', async () => {
    const gate = new Gate({ maxConcurrent: 1, maxQueued: 1, name: 'requests to S3' });
    let finish = () => {};
    const first = gate.run(() => new Promise<void>((done) => (finish = done)));
    const second = gate.run(async () => 'second');
    await assert.rejects(
      gate.run(async () => 'third'),
      (error) =>
        error instanceof ServiceError &&
        error.kind === 'overloaded' &&
        error.code === 'storage_overloaded' &&
        error.message.includes('requests to S3'),
    );
    finish();
    await first;
    assert.equal(await second, 'second');
  });

  it('goes on after work that fails', async () => {
    const gate = new Gate({ maxConcurrent: 1, maxQueued: 5, name: 'tests' });
    const failing = gate.run(() => Promise.reject(new Error('no')));
    const next = gate.run(async () => 'yes');
    await assert.rejects(failing, /no/);
    assert.equal(await next, 'yes');
    const throwing = gate.run(() => {
      throw new Error('at once');
    });
    await assert.rejects(throwing, /at once/);
    assert.equal(gate.running, 0);
  });

  it('lets a waiter leave, who then takes no turn', async () => {
    const gate = new Gate({ maxConcurrent: 1, maxQueued: 5, name: 'tests' });
    let finish = () => {};
    const first = gate.run(() => new Promise<void>((done) => (finish = done)));
    const leaving = new AbortController();
    const reason = new Error('left');
    const second = gate.run(async () => assert.fail('it left'), leaving.signal);
    const third = gate.run(async () => 'third');
    leaving.abort(reason);
    await assert.rejects(second, (error) => error === reason);
    await assert.rejects(
      gate.run(async () => assert.fail('it had left before'), leaving.signal),
      (error) => error === reason,
    );
    assert.equal(gate.queued, 1);
    finish();
    await first;
    assert.equal(await third, 'third');
    assert.equal(gate.running, 0);
  });

  it('gives a group turns and places only while it has fewer than are free, however many others hang', async () => {
    const gate = new Gate({ maxConcurrent: 12, maxQueued: 12, name: 'tests' });
    const forever = new Promise<void>(() => undefined);
    const hang = (group: string, count: number) =>
      Array.from({ length: count }, () => gate.run(() => forever, undefined, group).catch(() => 'refused'));
    hang('first', 20);
    assert.deepEqual([gate.running, gate.queued], [6, 6], 'one alone has half of all');
    hang('second', 20);
    assert.deepEqual([gate.running, gate.queued], [9, 9], 'the next half of what it left');
    hang('third', 20);
    const answered = await Promise.all(
      Array.from({ length: 50 }, async (_, i) => {
        for (let wait = 0; wait < i; wait++) await tick();
        return gate.run(tick, undefined, 'fourth').then(() => 'answered');
      }),
    );
    assert.equal(answered.length, 50);
    assert.equal(
      gate.tryRun(async () => 'spare', 'first'),
      undefined,
      'a group that has its share gets no spare turn',
    );
    assert.equal(await gate.tryRun(async () => 'spare', 'fourth'), 'spare');
  });

  it('never exceeds its bounds and never forgets anyone', async () => {
    const group = fc.constantFrom('a', 'b', 'c', undefined);
    const step = fc.record({ leaves: fc.boolean(), fails: fc.boolean(), turns: fc.nat(4), group });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 3 }), fc.array(step, { maxLength: 30 }), async (max, steps) => {
        const gate = new Gate({ maxConcurrent: max, maxQueued: 8, name: 'tests' });
        let running = 0;
        const runs = steps.map(async ({ leaves, fails, turns, group: of }) => {
          const leaving = new AbortController();
          if (leaves) setImmediate(() => leaving.abort(new Error('left')));
          const work = async () => {
            running += 1;
            assert.ok(running <= max);
            for (let i = 0; i < turns; i += 1) await tick();
            running -= 1;
            if (fails) throw new Error('failed');
          };
          await gate.run(work, leaving.signal, of);
        });
        await Promise.allSettled(runs);
        assert.deepEqual({ running: gate.running, queued: gate.queued }, { running: 0, queued: 0 });
      }),
      { numRuns: 40 },
    );
  });
});

describe('a limited store', () => {
  const meta: ObjectMeta = { key: 'k', sizeBytes: 10, eTag: '"e"' };

  it('limits what it reads, over all stores that share the gate, and lets listings pass', async () => {
    let reading = 0;
    let most = 0;
    const slow: ObjectStore = {
      kind: 's3',
      cheapReads: false,
      head: async () => meta,
      getRange: async () => {
        reading += 1;
        most = Math.max(most, reading);
        await tick();
        reading -= 1;
        return new Uint8Array(1);
      },
      list: async function* () {
        yield meta;
      },
      close: async () => undefined,
    };
    const gate = new Gate({ maxConcurrent: 3, maxQueued: 100, name: 'tests' });
    const stores = [new LimitedStore(slow, gate, 'a'), new LimitedStore(slow, gate, 'b')];
    await Promise.all(
      stores.flatMap((store) => Array.from({ length: 20 }, () => store.getRange(meta, { start: 0, end: 1 }))),
    );
    assert.equal(most, 3);
    const full = new Gate({ maxConcurrent: 1, maxQueued: 0, name: 'tests' });
    const limited = new LimitedStore(slow, full);
    const busy = limited.getRange(meta, { start: 0, end: 1 });
    await assert.rejects(limited.head('k'), { kind: 'overloaded' });
    assert.equal((await Array.fromAsync(limited.list(''))).length, 1);
    await busy;
    assert.equal(limited.kind, 's3');
    assert.equal(limited.cheapReads, false);
  });
});
