import assert from 'node:assert/strict';

import { canonicalize, digestOf, TributaryError } from '@tributary/proto';
import { MemoryOutbox } from '@tributary/edge-agent/internal/adapters/files/memory-outbox.js';
import {
  decodeTrainingCheckpoint,
  encodeTrainingCheckpoint,
  type Checkpoint,
} from '@tributary/edge-agent/internal/adapters/training/checkpoint.js';
import { Checkpoints } from '@tributary/edge-agent/internal/app/checkpoints.js';
import fc from 'fast-check';

import { refusal } from '../../support/refusal.js';

const vector = fc.float32Array({ maxLength: 9, noNaN: true });
const number = fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0);
const checkpoints = fc.oneof(fc.constant(false), fc.constant(true)).chain((stops) =>
  fc
    .record({
      identity: fc.string({ maxLength: 50, unit: 'grapheme-ascii' }),
      epoch: fc.nat(),
      steps: fc.nat(),
      loss: number,
      weights: vector,
      optimizer: vector,
      best: fc.record({ validationLoss: number, loss: number, waited: fc.nat() }),
    })
    .map(({ best, ...rest }): Checkpoint =>
      stops ? { ...rest, best: { ...best, weights: rest.weights.map((value) => -value) } } : rest,
    ),
);

describe('checkpoint of a training', () => {
  it('comes back bit by bit (property)', () => {
    fc.assert(
      fc.property(checkpoints, (checkpoint) => {
        assert.deepEqual(decodeTrainingCheckpoint(encodeTrainingCheckpoint(checkpoint)), checkpoint);
      }),
    );
  });

  it('is refused where a byte is missing or was added, and never breaks the decoder (property)', () => {
    fc.assert(
      fc.property(checkpoints, fc.nat(), fc.nat({ max: 255 }), (checkpoint, place, byte) => {
        const bytes = encodeTrainingCheckpoint(checkpoint);
        const cut = bytes.subarray(0, place % bytes.length);
        assert.throws(() => decodeTrainingCheckpoint(cut), refusal('STORE_CORRUPT'));
        const longer = new Uint8Array([...bytes, byte]);
        assert.throws(() => decodeTrainingCheckpoint(longer), refusal('STORE_CORRUPT'));
        const altered = bytes.slice();
        altered[place % bytes.length] = byte;
        try {
          decodeTrainingCheckpoint(altered);
        } catch (error) {
          assert.ok(error instanceof TributaryError);
        }
      }),
    );
  });

  it('of a newer version is refused as such', () => {
    const header = canonicalize({ formatVersion: 2, anything: 'else' });
    const bytes = Buffer.concat([Buffer.from('TBCP'), Buffer.of(header.length, 0, 0, 0), header]);
    assert.throws(() => decodeTrainingCheckpoint(bytes), refusal('FORMAT_UNSUPPORTED'));
  });
});

describe('checkpoints of an agent', () => {
  const baseDigest = digestOf(Uint8Array.of(1));
  const ref = (round: number, jobId = `job-${'1'.repeat(32)}`) => ({ jobId, round, baseDigest });
  const complaints: string[] = [];
  const log = {
    ...{ debug: () => undefined, info: () => undefined, error: () => undefined },
    warn: (_: object, message: string) => complaints.push(message),
  };

  it('keep the newest of each training, and lose those of earlier rounds and settled ones', async () => {
    const files = new MemoryOutbox();
    const kept = new Checkpoints(files, log);
    const first = await kept.begin(ref(1));
    assert.equal(await first.read(), undefined);
    await first.write(Uint8Array.of(1));
    await first.write(Uint8Array.of(2, 3));
    assert.deepEqual(await (await kept.begin(ref(1))).read(), Uint8Array.of(2, 3));
    const other = await kept.begin(ref(1, `job-${'2'.repeat(32)}`));
    await other.write(Uint8Array.of(9));
    const second = await kept.begin(ref(2));
    assert.equal(await first.read(), undefined);
    assert.deepEqual(await other.read(), Uint8Array.of(9));
    await second.write(Uint8Array.of(4));
    await kept.remove(ref(2));
    assert.equal(await second.read(), undefined);
    assert.equal((await files.list()).length, 1);
    assert.deepEqual(complaints, []);
  });

  it('of another base model are not taken up', async () => {
    const kept = new Checkpoints(new MemoryOutbox(), log);
    await (await kept.begin(ref(1))).write(Uint8Array.of(1));
    const other = { ...ref(1), baseDigest: digestOf(Uint8Array.of(2)) };
    assert.equal(await (await kept.begin(other)).read(), undefined);
  });

  it('cost nothing but a complaint where the disk refuses', async () => {
    const files = new MemoryOutbox();
    files.writeSealed = () => Promise.reject(new TributaryError('STORE_FULL', 'the disk is full'));
    files.list = () => Promise.reject(new TributaryError('STORE_CORRUPT', 'unreadable'));
    const kept = await new Checkpoints(files, log).begin(ref(1));
    await kept.write(Uint8Array.of(1));
    assert.equal(await kept.read(), undefined);
    assert.deepEqual(complaints, ['checkpoints not removed', 'checkpoint not written']);
  });
});
