import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { bytesToFloat32, type FederatedJobInput } from '@tributary/proto';

import { LocalFederation } from '../support/federation.js';
import { auditLedger, entriesOf } from '../support/ledger-audit.js';
import { Operator } from '../support/operator.js';
import { SeededRandom } from '../support/seeded-random.js';
import { temporaryDirectory, type TemporaryDirectory } from '../support/temporary-directory.js';

const SITES = ['basel', 'delft', 'lund', 'turin'];
const ROWS = 200;
const SECURE_STAGES = ['advertise', 'share', 'mask', 'agree', 'unmask'];

function csvOf(seed: number): string {
  const random = new SeededRandom(seed);
  const uniform = (): number => random.uint32() / 2 ** 32;
  const lines = Array.from({ length: ROWS }, () => {
    const [x, y] = [uniform(), uniform()];
    return `${x.toFixed(4)},${y.toFixed(4)},${x + y + uniform() > 1.5 ? 'yes' : 'no'}`;
  });
  return ['x,y,z', ...lines, ''].join('\n');
}

const CLIP = 1;

function job(name: string, privacy: FederatedJobInput['spec']['privacy'], more = {}): FederatedJobInput {
  return {
    apiVersion: 'tributary.dev/v1alpha1',
    kind: 'FederatedJob',
    metadata: { name },
    spec: {
      task: { type: 'Binary', positive: 'yes' },
      dataset: { name: 'points', label: 'z' },
      features: [
        { name: 'x', type: 'Numeric', scaling: 'Federated', low: 0, high: 1 },
        { name: 'y', type: 'Numeric' },
      ],
      model: {
        name,
        layers: [
          { type: 'Dense', units: 8, activation: 'Relu' },
          { type: 'Dense', units: 1, activation: 'Sigmoid' },
        ],
      },
      training: { epochs: 1, optimizer: { type: 'Sgd', learningRate: 0.1 } },
      rounds: 2,
      minSites: 4,
      roundDeadlineSeconds: 60,
      update: { clipNorm: CLIP },
      evaluation: { metrics: ['auc', 'logLoss'], intervals: true },
      privacy,
      ...more,
    },
  };
}

/** Secure aggregation over real processes. */
describe('secure aggregation of four sites', function () {
  this.timeout(240_000);
  let directory: TemporaryDirectory;
  let federation: LocalFederation;
  let operator: Operator;

  before(async () => {
    directory = await temporaryDirectory();
    federation = await LocalFederation.start(join(directory.path, 'federation'), 'clinics');
    for (const [index, name] of SITES.entries())
      await federation.addSite({ name, csv: csvOf(index + 1), dataset: 'points' });
    operator = await Operator.of(federation);
  });

  after(async function () {
    operator.close();
    await federation.stop();
    if (this.test?.parent?.tests.some((test) => test.isFailed()) === true)
      console.log(`logs are in ${federation.folder}`);
    else await directory.remove();
  });

  const modelOf = async (name: string): Promise<Float32Array> => {
    await federation.cliText('wait', '--for=condition=Complete', `fj/${name}`, '--timeout', '120s');
    const folder = join(directory.path, name);
    await federation.cliText('models', 'export', name, '--to', folder);
    return bytesToFloat32(await readFile(join(folder, 'weights.bin')));
  };

  const roundsOf = async (name: string) => {
    const { entries } = await auditLedger(federation);
    const jobId = entriesOf(entries, 'job.submitted').find(({ body }) => body.name === name)?.body.jobId;
    const of = <T extends { readonly body: { readonly jobId: string } }>(found: readonly T[]): readonly T[] =>
      found.filter(({ body }) => body.jobId === jobId);
    return {
      opened: of(entriesOf(entries, 'round.opened')),
      closed: of(entriesOf(entries, 'stage.closed')),
      committed: of(entriesOf(entries, 'round.committed')),
    };
  };

  it('makes the model of plain averaging but for the rounding, and the same metrics', async () => {
    await federation.apply(job('plain', { secureAggregation: false }));
    const plain = await modelOf('plain');
    await federation.apply(job('masked', {}));
    const masked = await modelOf('masked');
    assert.equal(masked.length, plain.length);
    // A step of the ring is clip * n / 2^31; two rounds of four sites stay within a few of them and float32.
    const most = plain.reduce(
      (worst, value, index) => Math.max(worst, Math.abs(value - (masked[index] ?? NaN))),
      0,
    );
    assert.ok(most < 2e-6, `the weights differ by up to ${String(most)}`);
    const [open, secure] = [await roundsOf('plain'), await roundsOf('masked')];
    for (const { body } of secure.opened) {
      assert.equal(body.mode, 'secure');
      assert.deepEqual(body.secure, { threshold: 3, colluders: 1, survivors: 4 });
    }
    assert.deepEqual(
      secure.closed.map(({ body }) => body.stage),
      secure.opened.flatMap(() => SECURE_STAGES),
    );
    for (const [index, { body }] of secure.committed.entries()) {
      const expected = open.committed[index]?.body.metrics ?? {};
      for (const [name, value] of Object.entries(body.metrics))
        assert.ok(
          Math.abs(Number(value) - Number(expected[name])) < 1e-4,
          `${name}: ${value} for ${String(expected[name])}`,
        );
    }
  });

  it('loses no round to a site that drops out before it sends its update', async () => {
    await operator.apply(job('without-lund', {}, { minSites: 3, roundDeadlineSeconds: 20 }));
    await operator.event('without-lund', 'stage.closed', ({ stage }) => stage === 'share');
    await federation.agents.get('lund')?.stop('SIGKILL');
    await modelOf('without-lund');
    const { committed } = await roundsOf('without-lund');
    assert.ok(committed.some(({ body }) => body.dropped.includes('lund')));
  });
});
