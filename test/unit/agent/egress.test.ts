import assert from 'node:assert/strict';

import { sumOf } from '@tributary/edge-agent/internal/domain/egress.js';
import fc from 'fast-check';

import { MeteredWire } from '../../support/egress.js';

describe('egress counter', () => {
  it('counts payloads as they are said, and the rest of what sockets write as transport', async () => {
    const wire = new MeteredWire();
    const counter = await wire.open();
    counter.count('control', 7);
    counter.count('update', 100, 'a');
    assert.deepEqual(counter.egress, { update: 100n, control: 7n, transport: 0n });
    wire.bytes = 150n;
    assert.deepEqual(counter.egress, { update: 100n, control: 7n, transport: 43n });
    await counter.close();
    assert.deepEqual((await wire.open()).egress, { update: 100n, control: 7n, transport: 43n });
  });

  it('gives each job what is said to be for it, and shares the rest equally', async () => {
    const wire = new MeteredWire();
    const counter = await wire.open();
    counter.count('control', 50);
    counter.begin('a');
    counter.begin('b');
    counter.count('update', 100, 'a');
    counter.count('control', 11);
    wire.bytes = 261n;
    const { update, control, transport } = counter.jobs().get('a') ?? assert.fail();
    assert.deepEqual([update, control, transport], [100n, 6n, 50n]);
    const other = counter.end('b') ?? assert.fail();
    assert.deepEqual([other.update, other.control, other.transport], [0n, 5n, 50n]);
    wire.bytes = 300n;
    assert.equal(sumOf(counter.end('a') ?? assert.fail()), 195n, 'alone from then on');
    assert.equal(sumOf(counter.egress), 300n);
    assert.equal(counter.end('a'), undefined);
  });

  it('goes on from the last look at the sockets after the process was killed, never below what left', async () => {
    const amounts = fc.record({
      payload: fc.bigInt({ min: 0n, max: 4_000_000n }),
      seen: fc.bigInt({ min: 0n, max: 4_000_000n }),
      unseen: fc.bigInt({ min: 0n, max: 1_500n }),
    });
    await fc.assert(
      fc.asyncProperty(amounts, async ({ payload, seen, unseen }) => {
        const wire = new MeteredWire();
        const counter = await wire.open();
        counter.begin('a');
        counter.count('update', Number(payload), 'a');
        wire.bytes = seen;
        assert.ok(sumOf(counter.egress) >= seen);
        // Killed: what left since the last look nobody wrote down.
        const left = seen + unseen;
        const next = await wire.open();
        const total = sumOf(next.egress);
        const most = left + 2_048n + 32_768n;
        assert.ok(total >= left && total <= most, `${String(total)} of ${String(left)}`);
        assert.ok(sumOf(next.jobs().get('a') ?? assert.fail()) >= left);
      }),
    );
  });

  it('counts what was reserved as sent where the machine lost its memory', async () => {
    const wire = new MeteredWire();
    const counter = await wire.open();
    counter.count('control', 7);
    await counter.reserve(100, 'a');
    counter.count('update', 30, 'a');
    wire.kept = undefined;
    assert.equal((await wire.open()).egress.update, 100n);
    counter.count('update', 70, 'a');
    counter.release(100);
    await counter.flush();
    wire.kept = undefined;
    assert.equal((await wire.open()).egress.update, 100n);
  });

  it('leaves the sums to a build that knows no more, and takes in what that one counted, once', async () => {
    const wire = new MeteredWire();
    const counter = await wire.open();
    counter.begin('a');
    counter.count('control', 50);
    await counter.reserve(100, 'a');
    counter.count('update', 100, 'a');
    counter.release(100);
    wire.bytes = 170n;
    await counter.close();
    const bytes = (await wire.store.get('egress')) ?? assert.fail();
    const sums = { control: '50', formatVersion: 1, reserved: '0', update: '100' };
    assert.deepEqual(JSON.parse(Buffer.from(bytes).toString()), sums);
    // As 0.2.0 counts on, and dies with a reserve.
    const older = { ...sums, control: '57', update: '130', reserved: '1000' };
    await wire.store.put({
      egress: Buffer.from(JSON.stringify(Object.fromEntries(Object.entries(older).sort()))),
    });
    for (const forgets of [false, true, true]) {
      if (forgets) wire.kept = undefined;
      const next = await wire.open();
      assert.deepEqual(next.egress, { update: 1_130n, control: 57n, transport: 20n });
      assert.equal(next.jobs().get('a')?.update, 1_130n);
    }
  });
});
