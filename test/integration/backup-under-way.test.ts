import assert from 'node:assert/strict';
import { join } from 'node:path';

import { createBackup } from '@tributary/coordinator/internal/adapters/backup/backup.js';
import { restoreBackup } from '@tributary/coordinator/internal/adapters/backup/restore.js';
import type { Digest } from '@tributary/proto';

import { patternBytes } from '../support/bytes.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { TrainingWorld } from '../support/training-world.js';

const SITES = ['east', 'west'];

describe('a backup during which a round is committed', function () {
  this.timeout(60_000);
  let directory: TemporaryDirectory;
  let world: TrainingWorld;
  let jobId: string;

  beforeEach(async () => {
    directory = await temporaryDirectory();
    world = await TrainingWorld.create(SITES);
    world.connectAll();
    jobId = await world.submit('loans', { rounds: 2 });
    await world.openRound(jobId);
  });
  afterEach(async () => {
    await world.close();
    await directory.remove();
  });

  /** Up to its first chunk, in which the head of the ledger is, in the middle of round 1; the rest in round 2. */
  const backup = async (spareBlobs: () => () => void): Promise<{ chunks: Uint8Array[]; base: Digest }> => {
    const identity = {
      ...{ formatVersion: 1, federationId: world.federation.state.federation?.federationId, name: 'test' },
      ...{ logId: world.federation.logId, names: ['localhost'], createdAt: '2026-01-02T03:04:05.678Z' },
    };
    const chunks: Uint8Array[] = [];
    const round = world.job(jobId).round;
    assert.ok(round);
    for await (const chunk of createBackup({
      federationId: identity.federationId ?? '',
      ledger: world.federation,
      blobs: world.blobs,
      spareBlobs,
      keys: { list: () => Promise.resolve([]), getSealed: () => Promise.resolve(undefined) },
      identity: Buffer.from(JSON.stringify(identity)),
      authority: Buffer.from('the certificate'),
      clock: world.clock,
    })) {
      chunks.push(chunk);
      if (chunks.length !== 1) continue;
      for (const site of SITES) await world.agent(site).submit(round);
      await world.openRound(jobId, 2);
      await settled();
    }
    return { chunks, base: round.baseDigest };
  };

  const restore = (chunks: readonly Uint8Array[]) =>
    restoreBackup(chunks, join(directory.path, 'restored'), { sealingKey: patternBytes(32, 1) });

  /** What was committed is cleaned up behind the answer. */
  const settled = async (): Promise<void> => {
    for (let turn = 0; turn < 100; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  };

  it('holds the models of the ledger that it holds, which are deleted when it is made', async () => {
    const { chunks, base } = await backup(() => world.training.spareBlobs());
    const { blobs, entries } = await restore(chunks);
    assert.ok(entries < world.federation.size(), 'the ledger of the moment when it began');
    assert.ok(blobs >= 1);
    await settled();
    assert.equal(await world.blobs.size(base), undefined, 'the model is deleted when the backup is made');
  });

  it('is refused where one of them is missing', async () => {
    const { chunks, base } = await backup(() => () => undefined);
    await assert.rejects(restore(chunks), {
      code: 'STORE_CORRUPT',
      message: new RegExp(`${base}, which its ledger needs, is missing`),
    });
  });
});
