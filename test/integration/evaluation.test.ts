import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { FederatedJobObject } from '@tributary/proto';
import { stringify } from 'yaml';

import { loadExportedModel } from '../support/exported-model.js';
import { LocalFederation } from '../support/federation.js';
import { auditLedger, entriesOf } from '../support/ledger-audit.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';
import { trialCsv } from '../support/training-job.js';
import { trialJob } from '../support/trial-job.js';
import { eventually } from '../support/waiting.js';

interface HeldOut {
  readonly site: string;
  readonly phase: string;
  readonly heldOut: readonly { readonly name: string; readonly value: number; readonly low: number }[];
}

const isBetween = (value: number, low: number, high: number): boolean => value > low && value < high;

describe('evaluation of a federation of processes', function () {
  this.timeout(180_000);
  let folder: TemporaryDirectory;
  let federation: LocalFederation;

  before(async () => {
    folder = await temporaryDirectory();
    federation = await LocalFederation.start(join(folder.path, 'federation'));
    const policy = { metricsPerSite: true, metrics: ['auc', 'accuracy', 'rmse', 'mae'] };
    for (const [seed, name] of ['east', 'north', 'west'].entries())
      await federation.addSite({ name, csv: trialCsv(300, seed + 1), dataset: 'trial', policy });
    const shy = { name: 'shy', csv: trialCsv(300, 9), dataset: 'trial', labels: { kind: 'shy' } };
    await federation.addSite(shy);
  });
  after(async () => {
    await federation.stop();
    await folder.remove();
  });

  it('reports intervals and subgroups, but none of fewer rows than the policies allow', async () => {
    const subgroups = [{ column: 'c', values: ['red', 'purple'] }];
    const evaluation = { metrics: ['auc' as const, 'accuracy' as const], intervals: true, subgroups };
    await federation.apply(trialJob('groups', { rounds: 2, minSites: 4, evaluation }));
    await federation.cliText('wait', 'fj/groups', '--for', 'condition=Complete', '--timeout', '100s');
    const { status } = (await federation.object('fj/groups')) as unknown as FederatedJobObject;
    const [all, red, purple] = status.evaluation ?? [];
    assert.deepEqual(
      status.evaluation?.map(({ type, value }) => value ?? type),
      ['All', 'red', 'purple'],
    );
    for (const { value, standardError } of [all, red].flatMap((group) => group?.metrics ?? [])) {
      assert.ok(isBetween(Number(value), 0.3, 1), value);
      assert.ok(isBetween(Number(standardError), 0.005, 0.2), standardError);
    }
    assert.ok(purple?.metrics.every(({ value }) => value === 'NaN'));
    assert.match(await federation.cliText('describe', 'fj/groups'), /c = red +auc +0\./);
  });

  it('leaves each site out in turn; a site whose policy forbids it takes no part', async () => {
    const path = join(folder.path, 'job.yaml');
    await writeFile(path, stringify(trialJob('turns', { rounds: 2, minSites: 2 })));
    const sites = ['east', 'north', 'west'].flatMap((name) => ['--site', name]);
    await federation.cliText('job', 'leave-one-out', '-f', path, ...sites);
    for (const site of ['east', 'north', 'west'])
      await federation.cliText(
        'wait',
        `fj/turns-without-${site}`,
        '--for',
        'condition=Complete',
        '--timeout',
        '100s',
      );
    const shown = JSON.parse(await federation.cliText('job', 'held-out', 'turns', '-o', 'json')) as {
      readonly sites: readonly HeldOut[];
    };
    assert.deepEqual(
      shown.sites.map(({ site, phase }) => [site, phase]),
      ['east', 'north', 'west'].map((site) => [site, 'Complete']),
    );
    for (const { heldOut } of shown.sites) {
      assert.ok((heldOut[0]?.value ?? 0) > 0.6 && (heldOut[0]?.low ?? 1) < (heldOut[0]?.value ?? 0));
    }
    // Four sites: "shy" has not agreed to figures of its own, which only matters where they would be its own.
    await federation.apply(
      trialJob('names', { minSites: 3, evaluation: { metrics: ['auc'], perSite: true } }),
    );
    await federation.cliText('wait', 'fj/names', '--for', 'condition=Complete', '--timeout', '100s');
    const { status } = (await federation.object('fj/names')) as unknown as FederatedJobObject;
    const told = status.evaluation?.filter(({ type }) => type === 'Site') ?? [];
    assert.deepEqual(
      told.map(({ site, metrics }) => [site, metrics[0]?.value === 'NaN']),
      [
        ['east', false],
        ['north', false],
        ['shy', true],
        ['west', false],
      ],
    );
    assert.match(await federation.cliText('describe', 'fj/names'), /spec\.metricsPerSite/);
  });

  it('measures the registered model after its last round, though the coordinator is killed in between', async () => {
    const east = federation.agents.get('east');
    assert.ok(east);
    // A site that stands still keeps the last round open until the job is suspended: no round follows it at once.
    process.kill(east.pid, 'SIGSTOP');
    await federation.apply(trialJob('final', { minSites: 4 }));
    const status = async () =>
      ((await federation.object('fj/final')) as unknown as FederatedJobObject).status;
    await eventually('the round to open', async () =>
      (await status()).sites.selected === 4 ? true : undefined,
    );
    await federation.cliText('suspend', 'fj/final');
    process.kill(east.pid, 'SIGCONT');
    await eventually('the round to end', async () =>
      (await status()).currentRound === 1 ? true : undefined,
    );
    const before = await status();
    assert.deepEqual([before.phase, before.progressPercentage], ['Suspended', 99]);
    const [auc] = before.metrics;

    await federation.coordinator.stop('SIGKILL');
    await federation.serve();
    await federation.cliText('resume', 'fj/final');
    await federation.cliText('wait', 'fj/final', '--for', 'condition=Complete', '--timeout', '100s');
    const after = await status();
    assert.deepEqual([after.currentRound, after.progressPercentage], [1, 100]);
    assert.equal(after.metrics[0]?.name, 'auc');
    assert.notEqual(after.metrics[0].value, auc?.value);
    const complete = after.conditions.find(({ type }) => type === 'Complete');
    assert.equal(complete?.reason, 'AllRoundsCommitted');

    const { entries } = await auditLedger(federation);
    const { jobId } = after;
    const opened = entriesOf(entries, 'round.opened').filter(({ body }) => body.jobId === jobId);
    assert.deepEqual(
      opened.map(({ body }) => [body.round, body.kind]),
      [
        [1, undefined],
        [2, 'Evaluation'],
      ],
    );
    const committed = entriesOf(entries, 'round.committed').filter(({ body }) => body.jobId === jobId);
    assert.equal(committed[1]?.body.modelDigest, committed[0]?.body.modelDigest);
    const sent = entriesOf(entries, 'update.accepted').filter(({ body }) => body.jobId === jobId);
    const bytes = (round: number) =>
      sent.filter(({ body }) => body.round === round).map(({ body }) => body.bytes);
    assert.equal(bytes(2).length, 4);
    // Four numbers under a tag: weight, loss, rows and the one metric.
    assert.deepEqual([...new Set(bytes(2))], [String(4 * 4 + 16)]);

    const exported = join(folder.path, 'exported');
    await federation.cliText('models', 'export', 'final', '--to', exported);
    const { manifest } = await loadExportedModel(exported);
    assert.equal(manifest.metrics['auc'], after.metrics[0].value);
    assert.equal(manifest.lineage.measuredSeq, committed[1]?.seq);
    assert.deepEqual(
      manifest.lineage.rounds.map(({ seq }) => seq),
      [committed[0]?.seq],
    );
    assert.equal(Object.keys(manifest.lineage.dataVersions ?? {}).length, 4);
  });

  it('has no round of evaluation where a job asks for no metrics', async () => {
    await federation.apply(trialJob('plain', { minSites: 4, evaluation: { metrics: [] } }));
    await federation.cliText('wait', 'fj/plain', '--for', 'condition=Complete', '--timeout', '100s');
    const { status } = (await federation.object('fj/plain')) as unknown as FederatedJobObject;
    const { entries } = await auditLedger(federation);
    const opened = entriesOf(entries, 'round.opened').filter(({ body }) => body.jobId === status.jobId);
    assert.deepEqual(
      opened.map(({ body }) => [body.round, body.kind]),
      [[1, undefined]],
    );
    assert.deepEqual(
      status.metrics.map(({ name }) => name),
      ['loss'],
    );
  });

  it('reports errors of a regression in units of its label, however it is scaled', async () => {
    const parts = {
      task: { type: 'Regression' as const, center: 1, scale: 0.125 },
      dataset: { name: 'trial', label: 'x2', testFraction: 0.25 },
      model: {
        name: 'amount',
        layers: [{ type: 'Dense' as const, units: 1, activation: 'Linear' as const }],
      },
      training: { optimizer: { type: 'Sgd' as const, learningRate: 1e-6 } },
      evaluation: { metrics: ['rmse' as const, 'mae' as const], intervals: true },
    };
    await federation.apply(trialJob('amount', { ...parts, minSites: 3 }));
    await federation.cliText('wait', 'fj/amount', '--for', 'condition=Complete', '--timeout', '100s');
    const { status } = (await federation.object('fj/amount')) as unknown as FederatedJobObject;
    const figure = (name: string) => status.metrics.find((one) => one.name === name);
    // x2 is spread evenly over -1 to 3, and the model has learned next to nothing: 1.15, or 9.2 in scaled units.
    const rmse = figure('rmse');
    assert.ok(isBetween(Number(rmse?.value), 1, 1.4), rmse?.value);
    assert.ok(isBetween(Number(figure('mae')?.value), 0.8, 1.2), figure('mae')?.value);
    assert.ok(isBetween(Number(rmse?.standardError), 0.005, 0.1), rmse?.standardError);
    const exported = join(folder.path, 'amount');
    await federation.cliText('models', 'export', 'amount', '--to', exported);
    const { manifest } = await loadExportedModel(exported);
    assert.deepEqual(manifest.labelScaling, { center: 1, scale: 0.125 });
    assert.equal(manifest.metrics['rmse'], rmse?.value);
  });
});
