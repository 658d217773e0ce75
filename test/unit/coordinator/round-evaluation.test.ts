import assert from 'node:assert/strict';

import { decodeTail, tailLength, tailShapeOf, type JobStatus } from '@tributary/proto';
import { jobStatusSchema } from '@tributary/proto/internal/documents/status.js';
import { shortageOf } from '@tributary/coordinator/internal/domain/selection.js';
import { findObject } from '@tributary/coordinator/internal/domain/objects.js';

import { refusal } from '../../support/refusal.js';
import { TrainingWorld } from '../../support/training-world.js';

const SITES = ['east', 'north', 'west'];

async function run(evaluation: Readonly<Record<string, unknown>>) {
  const world = await TrainingWorld.create(SITES);
  world.connectAll();
  const jobId = await world.submit('loans', {
    minSites: 3,
    evaluation: { metrics: ['auc', 'logLoss'], ...evaluation },
  });
  for (const agent of world.agents.values()) agent.evaluates = false;
  const training = await world.openRound(jobId);
  for (const agent of world.agents.values()) await agent.submit(training);
  const round = await world.openRound(jobId, 2);
  const sums = new Float64Array(round.vectorLength);
  for (const agent of world.agents.values()) {
    agent.vector(round).forEach((value, index) => (sums[index] = (sums[index] ?? 0) + value));
    await agent.submit(round);
  }
  const job = await world.finished(jobId);
  const [trained, committed] = await world.entries('round.committed');
  assert.ok(trained && committed);
  const view = findObject(
    world.federation.state,
    { kind: 'FederatedJob', name: 'loans' },
    { now: world.clock.now(), presence: new Map() },
  );
  assert.ok(view?.object.kind === 'FederatedJob');
  const status: JobStatus = jobStatusSchema.parse(view.object.status);
  const shape = { ...tailShapeOf(job.document.spec.evaluation, SITES), trains: false as const };
  const expected = decodeTail(sums.subarray(sums.length - tailLength(shape)), shape);
  await world.close();
  return { world, job, round, trained: trained.body, body: committed.body, status, expected };
}

describe('evaluation of a round', () => {
  it('is nothing but means where the job asks for no more', async () => {
    const { body, status } = await run({});
    assert.equal('evaluation' in body, false);
    assert.equal('evaluation' in status, false);
    assert.deepEqual(Object.keys(status.metrics[0] ?? {}), ['name', 'value']);
  });

  it('gives means with their standard errors, in ledger and status', async () => {
    const { body, status, expected } = await run({ intervals: true });
    const [all, ...others] = body.evaluation ?? [];
    assert.deepEqual(others, []);
    const error = expected.groups[0]?.standardErrors?.['auc'] ?? Number.NaN;
    assert.ok(error > 0);
    // The accumulator rounds to its scale.
    assert.ok(Math.abs(Number(all?.standardErrors?.['auc']) - error) < 1e-6);
    assert.equal(all?.metrics['auc'], body.metrics['auc']);
    const errors = status.metrics.map(({ name, standardError }) => [name, standardError]);
    const { auc, logLoss } = all?.standardErrors ?? {};
    assert.deepEqual(errors, [
      ['auc', auc],
      ['logLoss', logLoss],
      ['loss', undefined],
    ]);
    assert.deepEqual(status.evaluation?.[0]?.metrics, status.metrics.slice(0, 2));
  });

  it('keeps a site that is held out of the sum and of the lineage, and reports it apart', async () => {
    const { job, body, status, expected } = await run({ holdOutSite: 'north', perSite: true });
    assert.deepEqual(job.phase, 'Complete');
    assert.deepEqual(job.contributors, ['east', 'west']);
    assert.deepEqual(body.reporting, SITES);
    assert.deepEqual(
      body.evaluation?.map(({ type, ...rest }) => ('site' in rest ? `${type} ${rest.site}` : type)),
      ['All', 'HeldOut north', 'Site east', 'Site north', 'Site west'],
    );
    const auc = (index: number): number => Number(body.evaluation?.[index]?.metrics['auc']);
    assert.equal(auc(1), auc(3));
    assert.notEqual(auc(0), auc(1));
    for (const [index, group] of expected.groups.entries())
      assert.ok(Math.abs(auc(index) - (group.metrics['auc'] ?? Number.NaN)) < 1e-6);
    assert.equal(status.evaluation?.length, 5);
  });

  it('waits for the site that is held out, and refuses one that nobody knows', async () => {
    const world = await TrainingWorld.create(SITES);
    const evaluation = { metrics: ['auc' as const], holdOutSite: 'north' };
    await assert.rejects(
      world.submit('typo', { evaluation: { ...evaluation, holdOutSite: 'nroth' } }),
      refusal('DOCUMENT_INVALID', /holdOutSite: there is no site nroth/),
    );
    for (const [name, agent] of world.agents) if (name !== 'north') agent.connect();
    const jobId = await world.submit('loans', { minSites: 2, evaluation });
    await world.until('the job to start', () => world.job(jobId).phase === 'Running' || undefined);
    const { state } = world.federation;
    const waiting = shortageOf(
      state,
      world.job(jobId).document.spec,
      new Map(['east', 'west'].map((name) => [world.agents.get(name)?.agentId ?? '', 0])),
      new Map(),
    );
    assert.match(waiting ?? '', /needs 2 with north, which is held out, ready are 2; north is not connected/);
    assert.equal(world.job(jobId).round, undefined);
    world.agents.get('north')?.connect();
    assert.equal((await world.openRound(jobId)).cohort.size, 3);
    await world.close();
  });

  it('of a subgroup that no site tells of is NaN', async () => {
    const { body } = await run({ subgroups: [{ column: 'sex', values: ['F'] }] });
    assert.deepEqual(body.evaluation?.[1], {
      type: 'Subgroup',
      column: 'sex',
      value: 'F',
      metrics: { auc: 'NaN', logLoss: 'NaN' },
    });
  });
});
