import assert from 'node:assert/strict';

import { digestOf, LIMITS, roundKeyPair, signingKeyFromSeed, type ErrorCode } from '@tributary/proto';
import type { RoundState } from '@tributary/coordinator/internal/domain/rounds/round-state.js';

import { refusal } from '../../support/refusal.js';
import type { SimulatedAgent, WrittenUpdate } from '../../support/simulated-agent.js';
import { THREE_CHUNKS, TrainingWorld } from '../../support/training-world.js';

interface Opened {
  readonly world: TrainingWorld;
  readonly jobId: string;
  readonly round: RoundState;
  /** The site that misbehaves; two others carry the round. */
  readonly agent: SimulatedAgent;
}

async function openRound(spec: Parameters<TrainingWorld['submit']>[1] = {}): Promise<Opened> {
  const world = await TrainingWorld.create(['bad', 'east', 'west']);
  world.connectAll();
  const jobId = await world.submit('loans', spec);
  return { world, jobId, round: await world.openRound(jobId), agent: world.agent('bad') };
}

/** The two others report; the round commits without the site that misbehaves, and nothing stays behind. */
async function expectRoundGoesOn(
  { world, jobId, round }: Opened,
  reporting = ['east', 'west'],
): Promise<void> {
  for (const site of ['east', 'west']) await world.agent(site).submit(round);
  world.advance(round.stages[0]?.deadlineMs ?? 0);
  assert.equal((await world.finished(jobId)).phase, 'Complete');
  const [committed] = await world.entries('round.committed');
  assert.deepEqual(committed?.body.reporting, reporting);
  await world.training.stop();
  assert.deepEqual(await world.spools.list(), []);
  await world.close();
}

const changed = (
  chunks: readonly Uint8Array[],
  index: number,
  change: (chunk: Uint8Array) => Uint8Array,
): Uint8Array[] => chunks.map((chunk, at) => (at === index ? change(chunk.slice()) : chunk));

const flipped = (chunk: Uint8Array): Uint8Array => {
  chunk[100 % chunk.length] = (chunk[100 % chunk.length] ?? 0) ^ 1;
  return chunk;
};

const withValue = (agent: SimulatedAgent, round: RoundState, at: number, value: number): Float32Array => {
  const values = agent.vector(round);
  values[at < 0 ? values.length + at : at] = value;
  return values;
};

/** Refusals that are recorded and final for the attempt. */
const FINAL: readonly (readonly [
  string,
  ErrorCode,
  (agent: SimulatedAgent, round: RoundState) => WrittenUpdate,
])[] = [
  [
    'a NaN',
    'UPDATE_NOT_FINITE',
    (agent, round) => agent.write(round, { values: withValue(agent, round, 0, Number.NaN) }),
  ],
  [
    'an infinity in the tail',
    'UPDATE_NOT_FINITE',
    (agent, round) => agent.write(round, { values: withValue(agent, round, -1, Infinity) }),
  ],
  [
    'a value beyond the range',
    'UPDATE_OUT_OF_RANGE',
    (agent, round) => agent.write(round, { values: withValue(agent, round, 1, 65) }),
  ],
  [
    'a delta longer than its weight allows',
    'UPDATE_OUT_OF_RANGE',
    (agent, round) => agent.write(round, { values: withValue(agent, round, 0, 30) }),
  ],
  [
    'a weight above 1',
    'UPDATE_OUT_OF_RANGE',
    (agent, round) => agent.write(round, { values: withValue(agent, round, 2, 1.5) }),
  ],
  [
    'a vector that is too long',
    'UPDATE_WRONG_SHAPE',
    (agent, round) => agent.write(round, { values: new Float32Array(round.vectorLength + 1) }),
  ],
  [
    'another layout',
    'UPDATE_WRONG_SHAPE',
    (agent, round) => agent.write(round, { fields: { layoutDigest: digestOf(Uint8Array.of(1)) } }),
  ],
  [
    'another base model',
    'UPDATE_WRONG_ROUND',
    (agent, round) => agent.write(round, { fields: { baseDigest: digestOf(Uint8Array.of(1)) } }),
  ],
  [
    'a stage that the round has not',
    'UPDATE_WRONG_ROUND',
    (agent, round) => agent.write(round, { fields: { stage: 'unmask' } }),
  ],
  [
    'another log',
    'UPDATE_WRONG_ROUND',
    (agent, round) => agent.write(round, { fields: { logId: '0'.repeat(64) } }),
  ],
  [
    'a header signed by another key',
    'SIGNATURE_INVALID',
    (agent, round) => agent.write(round, { signer: signingKeyFromSeed(new Uint8Array(32).fill(77)) }),
  ],
  [
    'a seal signed by another key',
    'SIGNATURE_INVALID',
    (agent, round) => {
      const update = agent.write(round);
      return { ...update, seal: { ...update.seal, signature: new Uint8Array(64) } };
    },
  ],
  [
    'a chunk that is too long',
    'UPDATE_TOO_LARGE',
    (agent, round) => {
      const update = agent.write(round);
      return { ...update, chunks: changed(update.chunks, 0, (chunk) => new Uint8Array(chunk.length + 1)) };
    },
  ],
  [
    'one chunk too many',
    'UPDATE_TOO_LARGE',
    (agent, round) => {
      const update = agent.write(round);
      return { ...update, chunks: [...update.chunks, new Uint8Array(17)] };
    },
  ],
];

/** Refusals that concern only this try: the site may send something else, or the right agent its own. */
const PASSING: readonly (readonly [
  string,
  ErrorCode,
  (agent: SimulatedAgent, round: RoundState, opened: Opened) => WrittenUpdate,
])[] = [
  [
    'a round that is not open',
    'UPDATE_WRONG_ROUND',
    (agent, round) => agent.write(round, { fields: { round: 2 } }),
  ],
  [
    'an attempt that is not open',
    'UPDATE_WRONG_ROUND',
    (agent, round) => agent.write(round, { fields: { attempt: 1 } }),
  ],
  [
    'another job',
    'UPDATE_WRONG_ROUND',
    (agent, round) => agent.write(round, { fields: { jobId: `job-${'0'.repeat(32)}` } }),
  ],
  [
    'a wire version that is not served',
    'VERSION_UNSUPPORTED',
    (agent, round) => agent.write(round, { fields: { wire: '9.9' } }),
  ],
  [
    "another agent's header",
    'INVALID_ARGUMENT',
    (_agent, round, { world }) => world.agent('east').write(round),
  ],
  [
    "another site's name",
    'INVALID_ARGUMENT',
    (agent, round) => agent.write(round, { fields: { site: 'east' } }),
  ],
  [
    'a header that is no JSON',
    'INVALID_ARGUMENT',
    (agent, round) => {
      const update = agent.write(round);
      return { ...update, offer: { ...update.offer, header: new Uint8Array(10) } };
    },
  ],
  [
    'a header that is too long',
    'LIMIT_EXCEEDED',
    (agent, round) => {
      const update = agent.write(round);
      return {
        ...update,
        offer: { ...update.offer, header: new Uint8Array(LIMITS.envelopeHeaderBytes + 1) },
      };
    },
  ],
  [
    'a content key sealed to another round',
    'UPDATE_CORRUPT',
    (agent, round) => agent.write(round, { roundKey: roundKeyPair(new Uint8Array(32).fill(5)).publicKey }),
  ],
  [
    'a chunk with one bit changed',
    'UPDATE_CORRUPT',
    (agent, round) => {
      const update = agent.write(round);
      return { ...update, chunks: changed(update.chunks, 0, flipped) };
    },
  ],
  [
    'a chunk that is too short',
    'UPDATE_CORRUPT',
    (agent, round) => {
      const update = agent.write(round);
      return { ...update, chunks: changed(update.chunks, 0, (chunk) => chunk.subarray(1)) };
    },
  ],
  [
    'a seal over other tags',
    'UPDATE_CORRUPT',
    (agent, round) => {
      const update = agent.write(round);
      return { ...update, seal: { ...update.seal, tagsDigest: new Uint8Array(32) } };
    },
  ],
  [
    'a seal before the last chunk',
    'UPDATE_CORRUPT',
    (agent, round) => ({ ...agent.write(round), chunks: [] }),
  ],
];

describe('reception of updates', () => {
  describe('refuses for good, records why, and the round goes on', () => {
    for (const [what, code, write] of FINAL) {
      it(`${code}: ${what}`, async () => {
        const opened = await openRound({ roundDeadlineSeconds: 10 });
        const { world, round, agent } = opened;
        const update = write(agent, round);
        await assert.rejects(agent.send(update), refusal(code));
        const [refused, ...more] = await world.entries('update.refused');
        assert.deepEqual(more, []);
        assert.deepEqual(refused && [refused.body.site, refused.body.code, refused.body.uploadId], [
          'bad',
          code,
          update.offer.uploadId,
        ]);
        const status = await world.training.uploads.status(agent.agentId, update.offer.uploadId);
        assert.deepEqual(status.state === 'Refused' && [status.code, status.seq], [code, refused?.seq]);
        await assert.rejects(
          agent.send(agent.write(round)),
          refusal('UPDATE_DUPLICATE'),
          'no second try in this attempt',
        );
        if (what !== 'a header signed by another key') {
          await assert.rejects(agent.send(update), refusal(code), 'the same upload gets the first answer');
        }
        await world.until('the settlement', () =>
          agent.told().includes('update.refused') ? true : undefined,
        );
        await expectRoundGoesOn(opened);
      });
    }
  });

  describe('refuses one try, and takes a good one afterwards', () => {
    for (const [what, code, write] of PASSING) {
      it(`${code}: ${what}`, async () => {
        const opened = await openRound({ roundDeadlineSeconds: 10 });
        const { world, round, agent } = opened;
        await assert.rejects(agent.send(write(agent, round, opened)), refusal(code));
        assert.deepEqual(await world.entries('update.refused'), []);
        await agent.submit(round);
        await expectRoundGoesOn(opened, ['bad', 'east', 'west']);
      });
    }
  });

  it('UPDATE_CORRUPT is final after the third corrupt upload of a site', async () => {
    const opened = await openRound({ roundDeadlineSeconds: 10 });
    const { world, round, agent } = opened;
    for (let tries = 0; tries < LIMITS.corruptUploads; tries += 1) {
      const update = agent.write(round);
      await assert.rejects(
        agent.send({ ...update, chunks: changed(update.chunks, 0, flipped) }),
        refusal('UPDATE_CORRUPT'),
      );
    }
    assert.equal((await world.entries('update.refused')).length, 1);
    await expectRoundGoesOn(opened);
  });

  it('NOT_IN_COHORT: a site that was not selected', async () => {
    const opened = await openRound({ roundDeadlineSeconds: 10 });
    const late = await opened.world.enrol('late');
    late.connect();
    await assert.rejects(late.send(late.write(opened.round)), refusal('NOT_IN_COHORT'));
    await expectRoundGoesOn(opened);
  });

  it('UPDATE_DUPLICATE: a second update of the same site', async () => {
    const opened = await openRound({ roundDeadlineSeconds: 10 });
    const { round, agent } = opened;
    await agent.submit(round);
    await assert.rejects(agent.send(agent.write(round)), refusal('UPDATE_DUPLICATE'));
    await expectRoundGoesOn(opened, ['bad', 'east', 'west']);
  });

  it('UPLOAD_ID_REUSED: another header under a used id, before and after acceptance', async () => {
    const opened = await openRound({ roundDeadlineSeconds: 10 });
    const { round, agent } = opened;
    const update = agent.write(round);
    const upload = await agent.begin(update);
    await upload.abandon();
    const { uploadId } = update.offer;
    await assert.rejects(
      agent.send(agent.write(round, { fields: { uploadId } })),
      refusal('UPLOAD_ID_REUSED'),
    );
    await agent.send(update);
    await assert.rejects(
      agent.send(agent.write(round, { fields: { uploadId } })),
      refusal('UPLOAD_ID_REUSED'),
    );
    await expectRoundGoesOn(opened, ['bad', 'east', 'west']);
  });

  it('UPDATE_LATE: the stage closed before the seal', async () => {
    const opened = await openRound({ roundDeadlineSeconds: 10, rounds: 2, model: THREE_CHUNKS });
    const { world, jobId, round, agent } = opened;
    const update = agent.write(round);
    const upload = await agent.begin(update);
    await upload.push(0, update.chunks[0] ?? new Uint8Array());
    for (const site of ['east', 'west']) await world.agent(site).submit(round);
    world.advance(10_000);
    await world.openRound(jobId, 2);
    await assert.rejects(upload.push(1, update.chunks[1] ?? new Uint8Array()), refusal('UPDATE_LATE'));
    await upload.abandon();
    await assert.rejects(
      agent.send(update),
      refusal('UPDATE_WRONG_ROUND'),
      'afterwards the round is not the open one',
    );
    assert.deepEqual(await world.training.uploads.status(agent.agentId, update.offer.uploadId), {
      state: 'Unknown',
    });
    await world.close();
  });

  it('AGENT_REVOKED: in the middle of an upload', async () => {
    const opened = await openRound({ roundDeadlineSeconds: 10, model: THREE_CHUNKS });
    const { world, round, agent } = opened;
    const update = agent.write(round);
    const upload = await agent.begin(update);
    await upload.push(0, update.chunks[0] ?? new Uint8Array());
    await world.federation.execute({ kind: 'revoke-site', ...world.asked(), site: 'bad', reason: 'stolen' });
    await assert.rejects(upload.push(1, update.chunks[1] ?? new Uint8Array()), refusal('AGENT_REVOKED'));
    await upload.abandon();
    assert.deepEqual(
      agent.goodbyes.map(({ code, retryAfterMs }) => [code, retryAfterMs]),
      [['AGENT_REVOKED', 0]],
    );
    await expectRoundGoesOn(opened);
  });

  it('gives an accepted upload the first answer again', async () => {
    const { world, round, agent } = await openRound();
    const update = agent.write(round);
    const receipt = await agent.send(update);
    assert.deepEqual(await agent.send(update), receipt);
    assert.equal((await world.entries('update.accepted')).length, 1);
    const status = await world.training.uploads.status(agent.agentId, update.offer.uploadId);
    assert.deepEqual(status, { state: 'Accepted', seq: receipt.seq });
    await world.close();
  });

  it("says nothing of another agent's upload", async () => {
    const { world, round, agent } = await openRound();
    const update = agent.write(round);
    await (await agent.begin(update)).abandon();
    const { uploadId } = update.offer;
    assert.deepEqual(await world.training.uploads.status(world.agent('east').agentId, uploadId), {
      state: 'Unknown',
    });
    assert.deepEqual(await world.training.uploads.status(agent.agentId, uploadId), {
      state: 'Receiving',
      nextChunk: 0,
    });
    await world.close();
  });
});
