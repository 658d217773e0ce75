import assert from 'node:assert/strict';
import { join } from 'node:path';

import { digestOf, type LedgerEntry } from '@tributary/proto';

import { LocalFederation } from '../support/federation.js';
import { loadExportedModel } from '../support/exported-model.js';
import { auditLedger, entriesOf, type Audit } from '../support/ledger-audit.js';
import { Operator } from '../support/operator.js';
import { pointsJob, pointsOf } from '../support/points.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';

const SITES = ['east', 'north', 'west'] as const;
const ROWS = 300;
/** Each site has a third of the square and no more. */
const PARTS = { east: [0.3, 1], north: [-0.3, 0.3], west: [-1, -0.3] } as const;

/** The built daemons and commands as separate processes on loopback, over mutual TLS, with real training. */
describe('the spine', function () {
  this.timeout(180_000);
  let directory: TemporaryDirectory;
  let federation: LocalFederation;
  let operator: Operator;
  let audit: Audit;

  before(async () => {
    directory = await temporaryDirectory();
    federation = await LocalFederation.start(join(directory.path, 'federation'), 'valley');
    for (const [index, name] of SITES.entries()) {
      await federation.addSite({ name, csv: pointsOf(index + 1, ROWS, PARTS[name]).csv, dataset: 'points' });
    }
    operator = await Operator.of(federation);
  });

  after(async function () {
    operator.close();
    await federation.stop();
    if (this.test?.parent?.tests.some((test) => test.isFailed()) === true)
      console.log(`logs are in ${federation.folder}`);
    else await directory.remove();
  });

  const wait = async (job: string): Promise<void> => {
    await federation.cliText('wait', '--for=condition=Complete', `fj/${job}`, '--timeout', '150s');
  };

  it('runs a signed job over three sites to a registered model', async () => {
    await federation.apply(pointsJob('points'));
    await wait('points');
    const { status } = (await federation.object('fj/points')) as {
      readonly status: {
        readonly currentRound: number;
        readonly sites: object;
        readonly modelRef: object;
        readonly metrics: readonly { name: string; value: string }[];
      };
    };
    assert.equal(status.currentRound, 4);
    assert.deepEqual(status.sites, { selected: 3, reporting: 3, dropped: 0, rejected: 0 });
    const auc = Number(status.metrics.find(({ name }) => name === 'auc')?.value);
    assert.ok(auc > 0.9, `auc ${String(auc)}`);
  });

  it('exports a model that TensorFlow.js loads and that knows what no single site saw', async () => {
    const folder = join(directory.path, 'exported');
    await federation.cliText('models', 'export', 'points', '--to', folder);
    const model = await loadExportedModel(folder);
    const { rows } = pointsOf(99, 1_000);
    const scores = await model.predict(rows);
    const right = rows.filter(
      ({ side }, index) => ((scores[index] ?? 0) > 0.5 ? 'far' : 'near') === side,
    ).length;
    assert.ok(right > 850, `${String(right)} of 1000`);
    assert.deepEqual(model.manifest.lineage.sites, [...SITES]);
    const versions = model.manifest.lineage.dataVersions ?? {};
    assert.deepEqual(Object.keys(versions).sort(), [...SITES].sort());
    assert.equal(new Set(Object.values(versions)).size, SITES.length, 'each site under a secret of its own');
  });

  it('records all of it in a ledger that anybody can verify from the first to the last entry', async () => {
    audit = await auditLedger(federation);
    const { entries } = audit;
    requireWholeRounds(entries, 'points', 4);
    const [registered] = entriesOf(entries, 'model.registered');
    const rounds = entriesOf(entries, 'round.committed');
    assert.equal(registered?.body.weightsDigest, rounds.at(-1)?.body.modelDigest);
    const model = await loadExportedModel(join(directory.path, 'exported'));
    assert.equal(model.manifest.weightsDigest, registered?.body.weightsDigest);
    assert.deepEqual(
      model.manifest.lineage.rounds.map(({ seq, modelDigest }) => [seq, modelDigest]),
      rounds.slice(0, 4).map(({ seq, body }) => [seq, body.modelDigest]),
    );
    assert.equal(model.manifest.lineage.measuredSeq, rounds[4]?.seq);
    for (const { body } of entriesOf(entries, 'update.accepted')) {
      const trained = model.manifest.lineage.dataVersions?.[body.site];
      assert.equal(body.dataVersion, body.round > 4 ? undefined : trained, 'the rows stay the same');
    }
    const [submitted] = entriesOf(entries, 'job.submitted');
    assert.equal(
      model.manifest.lineage.documentDigest,
      digestOf(Buffer.from(submitted?.body.document ?? '')),
    );
  });

  it('loses nothing when the coordinator and an agent are killed in the middle of a job', async () => {
    const { spec } = pointsJob('survivor');
    await operator.apply(pointsJob('survivor', { rounds: 8, training: { ...spec.training, epochs: 20 } }));
    await operator.event('survivor', 'round.committed', ({ round }) => round === 2);
    await federation.coordinator.stop('SIGKILL');
    await federation.serve();
    await operator.event('survivor', 'round.committed', ({ round }) => round === 4, 60_000);
    await federation.agents.get('north')?.stop('SIGKILL');
    federation.startAgent('north');
    await operator.event('survivor', 'round.opened', ({ round }) => round === 6, 60_000);
    // All at once, as when a site and the hub lose power together.
    await Promise.all([
      federation.agents.get('west')?.stop('SIGKILL'),
      federation.coordinator.stop('SIGKILL'),
    ]);
    federation.startAgent('west');
    await federation.serve();
    await wait('survivor');
    audit = await auditLedger(federation, audit);
    requireWholeRounds(audit.entries, 'survivor', 8);
  });

  it('brings a backup, made while it serves, back to the same ledger', async () => {
    const copy = join(directory.path, 'backup.tar');
    await federation.backup(copy);
    await federation.coordinator.stop('SIGKILL');
    await federation.restore(copy);
    const restored = await auditLedger(federation, audit);
    assert.ok(restored.entries.length >= audit.entries.length);
    await federation.apply(pointsJob('restored', { rounds: 2 }));
    await wait('restored');
    requireWholeRounds((await auditLedger(federation, restored)).entries, 'restored', 2);
  });
});

/**
 * Every round of a job, and the evaluation after them, was committed once, on the model of the round before it, with the
 * accepted updates of all sites and no others; no site's update was accepted twice.
 */
function requireWholeRounds(entries: readonly LedgerEntry[], name: string, rounds: number): void {
  const job = entriesOf(entries, 'job.submitted').find(({ body }) => body.name === name)?.body.jobId;
  const committed = entriesOf(entries, 'round.committed').filter(({ body }) => body.jobId === job);
  assert.deepEqual(
    committed.map(({ body }) => body.round),
    Array.from({ length: rounds + 1 }, (_, index) => index + 1),
  );
  let base = entriesOf(entries, 'job.started').find(({ body }) => body.jobId === job)?.body.modelDigest;
  for (const { body } of committed) {
    const same = (other: {
      readonly jobId: string;
      readonly round: number;
      readonly attempt: number;
    }): boolean => other.jobId === job && other.round === body.round && other.attempt === body.attempt;
    const opened = entriesOf(entries, 'round.opened').filter((entry) => same(entry.body));
    assert.deepEqual(
      opened.map((entry) => entry.body.baseDigest),
      [base],
    );
    const accepted = entriesOf(entries, 'update.accepted').filter((entry) => same(entry.body));
    assert.deepEqual(
      accepted.map((entry) => entry.body.site).sort(),
      [...SITES],
      `round ${String(body.round)}`,
    );
    assert.deepEqual([...body.folded].sort(), accepted.map((entry) => entry.body.uploadId).sort());
    assert.deepEqual([...body.reporting].sort(), [...SITES]);
    base = body.modelDigest;
  }
}
