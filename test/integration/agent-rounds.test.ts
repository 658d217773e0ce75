import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import {
  bytesToFloat32,
  EnvelopeOpener,
  LIMITS,
  TributaryError,
  type FederatedJobInput,
} from '@tributary/proto';

import { refusal } from '../support/refusal.js';
import { ScriptedCoordinator, type ScriptedUpload } from '../support/scripted-coordinator.js';
import type { ScriptedRound } from '../support/scripted-log.js';
import { ScriptedSite, type RunningAgent } from '../support/scripted-site.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { eventually } from '../support/waiting.js';

/** Layers with 364,000 parameters: two chunks. */
const LARGE: Partial<FederatedJobInput['spec']> = {
  model: {
    name: 'loans',
    layers: [
      { type: 'Dense', units: 600 },
      { type: 'Dense', units: 600 },
      { type: 'Dense', units: 1, activation: 'Sigmoid' },
    ],
  },
};

describe('rounds of an agent', () => {
  let coordinator: ScriptedCoordinator;
  let folder: TemporaryDirectory;
  let site: ScriptedSite;
  let running: RunningAgent | undefined;

  beforeEach(async () => {
    coordinator = await ScriptedCoordinator.start();
    folder = await temporaryDirectory();
    site = new ScriptedSite(folder.path, coordinator);
    coordinator.log.append({
      type: 'job.resumed',
      actor: 'context/root',
      subject: 'federation',
      body: { jobId: 'before' },
    });
    await site.join(coordinator.token());
  });

  afterEach(async () => {
    await running?.stop();
    running = undefined;
    coordinator.stop();
    await folder.remove();
  });

  const connected = async (): Promise<void> => {
    running ??= await site.run();
    await eventually('a stream', () => (coordinator.streams.size > 0 ? true : undefined));
  };
  const acks = () => coordinator.messages('ack');
  const outbox = () => readdir(join(site.dataDir, 'outbox'));
  const complete = (count = 1) =>
    eventually('a whole upload', () => {
      const sealed = [...coordinator.uploads.values()].filter((upload) => upload.sealed);
      return sealed.length >= count ? sealed : undefined;
    });

  it('trains what was proven and allowed, and sends the clipped, weighted vector to the round key', async () => {
    await connected();
    const round = coordinator.openRound();
    await coordinator.sendOrder('train', round.seqs);
    const [upload] = await complete();
    const vector = openUpload(upload, round);
    const norm = Math.sqrt(round.layout.length * 0.25);
    const weight = 200 / 10_000;
    assert.equal(vector.length, round.layout.length + 3);
    assert.ok(norm < 10, 'nothing is clipped here');
    assert.deepEqual([...vector.subarray(0, 2)], [Math.fround(0.5 * weight), Math.fround(0.5 * weight)]);
    assert.deepEqual(
      [...vector.subarray(-3)],
      [Math.fround(weight), Math.fround(weight * 0.25), Math.fround(50 / 10_000)],
    );
    assert.deepEqual(
      acks().map(({ accepted, code }) => [accepted, code]),
      [[true, '']],
    );
    const egress = running?.agent.status().egress;
    assert.ok(Number(egress?.update) > vector.byteLength);
  });

  it('clips what is longer than the job allows', async () => {
    site.trainer.value = 1_000;
    await connected();
    const round = coordinator.openRound();
    await coordinator.sendOrder('train', round.seqs);
    const [upload] = await complete();
    const delta = openUpload(upload, round)
      .subarray(0, round.layout.length)
      .map((value) => value / 0.02);
    assert.ok(Math.abs(Math.hypot(...delta) - 10) < 1e-4);
  });

  it('keeps the update until the ledger settles it', async () => {
    await connected();
    const round = coordinator.openRound();
    await coordinator.sendOrder('train', round.seqs);
    await complete();
    assert.equal((await outbox()).length, 2);
    await coordinator.sendOrder('settle', [...round.seqs, coordinator.log.closeRound(round, 'committed')]);
    await eventually('an empty outbox', async () => ((await outbox()).length === 0 ? true : undefined));
    assert.deepEqual(running?.agent.status().rounds, []);
  });

  it('goes on with the chunk that the coordinator wants next', async () => {
    await connected();
    coordinator.breakAfterChunks = 1;
    const round = coordinator.openRound({ spec: LARGE });
    await coordinator.sendOrder('train', round.seqs);
    const upload = await eventually('a broken upload', () =>
      [...coordinator.uploads.values()].find(({ chunks }) => chunks.length === 1),
    );
    coordinator.breakAfterChunks = undefined;
    await complete();
    assert.deepEqual(upload.begins, [0, 1]);
    assert.equal(openUpload(upload, round).length, round.layout.length + 3);
    assert.equal(site.trainer.trainings, 1);
    assert.equal(coordinator.uploads.size, 1, 'one envelope, resumed byte for byte');
  });

  it('goes on with a download where it broke off', async () => {
    await connected();
    coordinator.breakBlobAt = 10;
    const round = coordinator.openRound();
    await coordinator.sendOrder('train', round.seqs);
    await complete();
    assert.equal(site.trainer.trainings, 1);
  });

  it('submits after a restart what it trained before, without training again', async () => {
    await connected();
    coordinator.breakAfterChunks = 1;
    const round = coordinator.openRound({ spec: LARGE });
    await coordinator.sendOrder('train', round.seqs);
    await eventually('a begun upload', () =>
      [...coordinator.uploads.values()].find(({ chunks }) => chunks.length > 0),
    );
    assert.equal(await running?.stop(), undefined);
    running = undefined;
    coordinator.breakAfterChunks = undefined;
    const hello = coordinator.messages('hello').length;
    await connected();
    await coordinator.sendOrder('train', round.seqs);
    const [upload] = await complete();
    assert.deepEqual([site.trainer.trainings, coordinator.uploads.size], [1, 1]);
    assert.ok((upload?.begins.at(-1) ?? 0) > 0);
    const epochs = coordinator.messages('hello').map(({ sessionEpoch }) => BigInt(sessionEpoch) >> 32n);
    assert.equal(epochs[hello], (epochs[0] ?? 0n) + 1n);
  });

  it('survives a coordinator that goes away and comes back', async () => {
    await connected();
    const round = coordinator.openRound();
    coordinator.stop();
    await coordinator.listen();
    await connected();
    await coordinator.sendOrder('train', round.seqs);
    await complete();
  });

  it('declines what the policy does not allow, with the rule, and records the decision', async () => {
    assert.ok(site.policy);
    site.policy = { ...site.policy, maximumParameters: 3 };
    await connected();
    const round = coordinator.openRound();
    await coordinator.sendOrder('train', round.seqs);
    const ack = await eventually('an answer', () => acks()[0]);
    assert.deepEqual([ack.accepted, ack.code], [false, 'POLICY_REFUSED']);
    assert.match(ack.detail, /spec\.maximumParameters/);
    assert.equal(running?.agent.status().decisions.recent[0]?.rule, 'spec.maximumParameters');
    assert.equal(site.trainer.trainings, 0);
  });

  it('declines every job without a policy', async () => {
    site.policy = undefined;
    await connected();
    await coordinator.sendOrder('train', coordinator.openRound().seqs);
    assert.equal((await eventually('an answer', () => acks()[0])).code, 'POLICY_MISSING');
  });

  const FORGERIES: readonly (readonly [
    title: string,
    code: string,
    alter: Parameters<ScriptedCoordinator['openRound']>[0],
  ])[] = [
    ['another layout', 'PROOF_INVALID', { alter: (body) => ({ ...body, layoutDigest: body.baseDigest }) }],
    [
      'another vector length',
      'UPDATE_WRONG_SHAPE',
      { alter: (body) => ({ ...body, vectorLength: body.vectorLength + 1 }) },
    ],
    ['a cohort without this site', 'NOT_IN_COHORT', { alter: (body) => ({ ...body, cohort: [] }) }],
  ];
  for (const [title, code, options] of FORGERIES) {
    it(`refuses a round with ${title}`, async () => {
      await connected();
      await coordinator.sendOrder('train', coordinator.openRound(options).seqs);
      assert.equal((await eventually('an answer', () => acks()[0])).code, code);
      assert.equal(site.trainer.trainings, 0);
    });
  }

  it('refuses an entry that is not in the log', async () => {
    await connected();
    const round = coordinator.openRound();
    const { orderMessage } = await import('../support/scripted-coordinator.js');
    const order = await coordinator.log.order('train', round.seqs);
    const [first, ...rest] = order.entries;
    assert.ok(first);
    coordinator.send({ order: orderMessage({ ...order, entries: [{ ...first, path: [] }, ...rest] }) });
    assert.equal((await eventually('an answer', () => acks()[0])).code, 'PROOF_INVALID');
  });

  it('trains no base model but the one of the ledger', async () => {
    await connected();
    const round = coordinator.openRound();
    coordinator.blobs.set(round.baseDigest, new Uint8Array(round.layout.length * 4));
    await coordinator.sendOrder('train', round.seqs);
    assert.equal(
      (await eventually('a failure', () => coordinator.messages('failure')[0])).code,
      'PROOF_INVALID',
    );
    assert.equal(site.trainer.trainings, 0);
  });

  it('tells of a failed training nothing but places and names of the job', async () => {
    const cell = '4711-SECRET';
    site.trainer.fail = () =>
      new TributaryError('DATASET_INVALID', `line 7: ${cell}`, {
        fields: { line: 7, column: 'annual_inc', value: cell },
      });
    await connected();
    const round = coordinator.openRound();
    await coordinator.sendOrder('train', round.seqs);
    const failure = await eventually('a failure', () => coordinator.messages('failure')[0]);
    assert.equal(failure.code, 'DATASET_INVALID');
    assert.match(failure.detail, /\(line 7, column annual_inc\)$/);
    assert.ok(failure.detail.length <= LIMITS.detailLength);
    for (const text of [failure.detail, ...site.lines]) assert.ok(!text.includes(cell), text);
  });

  it('stops a training whose round has closed', async () => {
    site.trainer.gate = new Promise(() => undefined);
    await connected();
    const round = coordinator.openRound();
    await coordinator.sendOrder('train', round.seqs);
    await eventually('training', () => (site.trainer.trainings === 1 ? true : undefined));
    await coordinator.sendOrder('settle', [...round.seqs, coordinator.log.closeRound(round, 'failed')]);
    await eventually('two answers', () => (acks().length === 2 ? true : undefined));
    site.trainer.gate = Promise.resolve();
    const again = coordinator.openRound({ attempt: 1 });
    await coordinator.sendOrder('again', again.seqs);
    await complete();
    assert.deepEqual(coordinator.messages('failure'), []);
  });

  it('does not report a training that it ended itself by stopping', async () => {
    site.trainer.gate = new Promise(() => undefined);
    await connected();
    await coordinator.sendOrder('train', coordinator.openRound().seqs);
    await eventually('training', () => (site.trainer.trainings === 1 ? true : undefined));
    assert.equal(await running?.stop(), undefined);
    running = undefined;
    assert.deepEqual(coordinator.messages('failure'), []);
  });

  it('allows a base model no more often than the policy says', async () => {
    assert.ok(site.policy);
    site.policy = { ...site.policy, retriesPerBase: 0 };
    await connected();
    const first = coordinator.openRound();
    await coordinator.sendOrder('train', first.seqs);
    await complete();
    coordinator.log.closeRound(first, 'failed');
    await coordinator.sendOrder('again', coordinator.openRound({ attempt: 1 }).seqs);
    const refused = await eventually('a refusal', () => acks().find(({ accepted }) => !accepted));
    assert.match(refused.detail, /spec\.retriesPerBase/);
  });

  it('lets nobody else open its directory', async () => {
    await connected();
    await assert.rejects(site.open(), refusal('STORE_LOCKED'));
  });
});

/** The vector that an upload holds. */
function openUpload(upload: ScriptedUpload | undefined, round: ScriptedRound): Float32Array {
  assert.ok(upload);
  const opener = new EnvelopeOpener(upload.header, round.roundSecret);
  return bytesToFloat32(Buffer.concat(upload.chunks.map((chunk, index) => opener.open(index, chunk))));
}
