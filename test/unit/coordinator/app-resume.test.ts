import assert from 'node:assert/strict';

import type { RoundState } from '@tributary/coordinator/internal/domain/rounds/round-state.js';

import { refusal } from '../../support/refusal.js';
import type { SimulatedAgent } from '../../support/simulated-agent.js';
import { THREE_CHUNKS, TrainingWorld } from '../../support/training-world.js';

interface Opened {
  readonly world: TrainingWorld;
  readonly round: RoundState;
  readonly agent: SimulatedAgent;
}

/** An open round whose updates have three chunks. */
async function openRound(): Promise<Opened> {
  const world = await TrainingWorld.create(['east', 'west']);
  world.connectAll();
  const jobId = await world.submit('loans', { model: THREE_CHUNKS });
  return { world, round: await world.openRound(jobId), agent: world.agent('east') };
}

describe('an upload resumes', () => {
  for (const restart of [false, true]) {
    for (const boundary of [0, 1, 2, 3]) {
      it(`after ${String(boundary)} of 3 chunks, ${restart ? 'in another process' : 'with another stream'}`, async () => {
        const { world, round, agent } = await openRound();
        const update = agent.write(round);
        assert.equal(update.chunks.length, 3);
        const broken = await agent.begin(update);
        for (let index = 0; index < boundary; index += 1)
          await broken.push(index, update.chunks[index] ?? new Uint8Array());
        await broken.abandon();
        if (restart) await world.crash();
        const status = await world.training.uploads.status(agent.agentId, update.offer.uploadId);
        assert.deepEqual(status, { state: 'Receiving', nextChunk: boundary });
        const resumed = await agent.begin(update);
        assert.equal(resumed.nextChunk, boundary);
        await resumed.abandon();
        const receipt = await agent.send(update);
        assert.equal((await world.entries('update.accepted'))[0]?.seq, receipt.seq);
        await world.close();
      });
    }
  }

  it('with a newer stream while the older one is still open', async () => {
    const { world, round, agent } = await openRound();
    const update = agent.write(round);
    const older = await agent.begin(update);
    await older.push(0, update.chunks[0] ?? new Uint8Array());
    const newer = await agent.begin(update);
    await assert.rejects(older.push(1, update.chunks[1] ?? new Uint8Array()), refusal('CONFLICT'));
    await older.abandon();
    for (const index of [1, 2]) await newer.push(index, update.chunks[index] ?? new Uint8Array());
    await newer.seal(update.seal);
    await world.close();
  });

  it('skips chunks that it holds, and refuses a gap without losing the upload', async () => {
    const { world, round, agent } = await openRound();
    const update = agent.write(round);
    const upload = await agent.begin(update);
    await upload.push(0, update.chunks[0] ?? new Uint8Array());
    await upload.push(0, update.chunks[0] ?? new Uint8Array());
    await assert.rejects(
      upload.push(2, update.chunks[2] ?? new Uint8Array()),
      refusal('INVALID_ARGUMENT', /1 is expected/),
    );
    await upload.abandon();
    await agent.send(update);
    await world.close();
  });

  it('lets a newer upload of the site take the place of one that is not complete', async () => {
    const { world, round, agent } = await openRound();
    const first = agent.write(round);
    const upload = await agent.begin(first);
    await upload.push(0, first.chunks[0] ?? new Uint8Array());
    await agent.send(agent.write(round));
    await assert.rejects(upload.push(1, first.chunks[1] ?? new Uint8Array()), refusal('CONFLICT'));
    await upload.abandon();
    assert.equal((await world.spools.list()).length, 1);
    await world.close();
  });

  for (const good of [0, 1]) {
    it(`after the ${String(good)} chunks in front of one that a power cut left out of the spool`, async () => {
      const { world, round, agent } = await openRound();
      const update = agent.write(round);
      const upload = await agent.begin(update);
      await upload.abandon();
      const spool = (await world.spools.open(update.offer.uploadId)) ?? assert.fail('no spool');
      for (const [index, chunk] of update.chunks.entries())
        await spool.append(index === good ? new Uint8Array(chunk.length) : chunk);
      await world.crash();
      const status = await world.training.uploads.status(agent.agentId, update.offer.uploadId);
      assert.deepEqual(status, { state: 'Receiving', nextChunk: good });
      assert.equal(spool.chunkCount(), good);
      const resumed = await agent.begin(update);
      assert.equal(resumed.nextChunk, good);
      await resumed.abandon();
      await agent.send(update);
      await world.close();
    });
  }
});
