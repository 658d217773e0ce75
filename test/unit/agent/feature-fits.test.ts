import assert from 'node:assert/strict';

import { MemoryStateStore } from '@tributary/edge-agent/internal/adapters/store/memory-state-store.js';
import { MemoryDownloads } from '@tributary/edge-agent/internal/adapters/files/memory-downloads.js';
import { FeatureFits } from '@tributary/edge-agent/internal/app/feature-fits.js';
import { fitAlone } from '@tributary/edge-agent/internal/domain/feature-fit.js';
import { verifyOrder, type OpenedRound } from '@tributary/edge-agent/internal/domain/order.js';
import type { DatasetHandle, FleetClient, StatisticsTask } from '@tributary/edge-agent/internal/ports.js';
import {
  digestOf,
  emptyStatisticsDigest,
  float32ToBytes,
  layoutDigest,
  parseFederatedJob,
  statisticsLayout,
  vectorLength,
  vocabularyDigest,
  type Digest,
  type FederatedJobInput,
} from '@tributary/proto';

import { jobDocument } from '../../support/job-document.js';
import { refusal } from '../../support/refusal.js';
import { ScriptedLog, scriptedId, type RoundOptions } from '../../support/scripted-log.js';
import { datasetHandle } from '../../support/training-job.js';

type Spec = Partial<FederatedJobInput['spec']>;
type Opened = Parameters<NonNullable<RoundOptions['alter']>>[0];

const agentId = scriptedId('agt', 'west');
const cohort = [
  { site: 'east', agentId: scriptedId('agt', 'east') },
  { site: 'west', agentId },
];
const CODES = ['C50', 'C61', 'D05'];
const SPEC: Spec = {
  features: [
    { name: 'x', type: 'Numeric', scaling: 'Federated', low: 0, high: 8 },
    { name: 'z', type: 'Numeric', scaling: 'Site' },
    {
      name: 'code',
      type: 'Categorical',
      vocabulary: { name: 'icd', size: 3, digest: vocabularyDigest(CODES) },
    },
  ],
};
const features = parseFederatedJob({ ...jobDocument(), spec: { ...jobDocument().spec, ...SPEC } }).spec
  .features;

/** The body of the round of statistics, where that of a training was made. */
const statistics = (body: Opened): Opened => {
  const layout = statisticsLayout(features);
  return {
    ...body,
    kind: 'Statistics',
    baseDigest: emptyStatisticsDigest(features),
    layoutDigest: layoutDigest(layout),
    vectorLength: vectorLength({ parameters: layout.length, metrics: [] }),
  };
};

const table = Float32Array.of(1, 0.5, 0.3125);
const tableBytes = float32ToBytes(table);
const tableDigest = digestOf(tableBytes);

let log: ScriptedLog;

async function orderedRound(options: Partial<RoundOptions> = {}): Promise<OpenedRound> {
  const reader = { agentId, site: 'west', logId: log.logId, logKey: log.key.publicKey };
  const order = await log.order('train', log.openRound({ cohort, spec: SPEC, ...options }).seqs);
  const verified = verifyOrder(reader, order);
  assert.ok(verified.kind === 'Opened');
  return verified;
}

const training = (round = 1, statisticsDigest: Digest | undefined = tableDigest): Promise<OpenedRound> =>
  orderedRound({ round, alter: (body) => ({ ...body, ...(statisticsDigest && { statisticsDigest }) }) });

describe('orders about statistics', () => {
  beforeEach(() => {
    log = new ScriptedLog();
  });

  it('give the table that is asked for, and the size of the model', async () => {
    const round = await orderedRound({ round: 0, alter: statistics });
    assert.equal(round.layout.length, 3);
    assert.ok(round.model.length > 3);
    assert.equal((await training()).layout.length, round.model.length);
  });

  for (const [what, options] of [
    ['no statistics before the first training', { round: 1 }],
    ['statistics that the job does not ask for', { round: 0, spec: {}, alter: statistics }],
    ['statistics in a later round', { round: 3, alter: statistics }],
    [
      'statistics on a base of their own',
      { round: 0, alter: (body: Opened) => ({ ...statistics(body), baseDigest: tableDigest }) },
    ],
    [
      'statistics on statistics',
      { round: 0, alter: (body: Opened) => ({ ...statistics(body), statisticsDigest: tableDigest }) },
    ],
    [
      'scaling that the job does not ask for',
      { round: 1, spec: {}, alter: (body: Opened) => ({ ...body, statisticsDigest: tableDigest }) },
    ],
    [
      'a training as round 0',
      { round: 0, alter: (body: Opened) => ({ ...body, statisticsDigest: tableDigest }) },
    ],
  ] as const) {
    it(`are refused with ${what}`, async () => {
      await assert.rejects(orderedRound(options), refusal('PROOF_INVALID', /statistics of the round/));
    });
  }
});

describe('fits of features', () => {
  let store: MemoryStateStore;
  let passes: StatisticsTask[];
  let downloads: number;
  const signal = new AbortController().signal;
  const handle: DatasetHandle = datasetHandle('/nowhere.csv', 1, {
    vocabularies: [{ name: 'icd', values: CODES }],
  });

  const fitsOf = (bytes: Uint8Array = tableBytes): FeatureFits =>
    new FeatureFits({
      store,
      statistics: {
        collect: (task) => {
          passes.push(task);
          const site = { z: { center: passes.length, scale: 2 } };
          return Promise.resolve({ examples: 40, fit: site, table: Float32Array.from(table) });
        },
      },
      client: () =>
        ({
          fetchBlob: async function* ({ offset }: { offset: number }) {
            downloads += 1;
            await Promise.resolve();
            yield bytes.subarray(offset);
          },
        }) as unknown as FleetClient,
      downloads: new MemoryDownloads(),
      clock: { now: () => 0, at: () => () => undefined },
      random: { bytes: (length) => new Uint8Array(length) },
    });

  beforeEach(() => {
    log = new ScriptedLog();
    store = new MemoryStateStore();
    passes = [];
    downloads = 0;
  });

  it('read the rows once a job, also over a restart, and the table once', async () => {
    const expected = {
      code: { categories: CODES },
      z: { center: 1, scale: 2 },
      x: { center: 4, scale: 2 },
    };
    const answer = await fitsOf().answer(await orderedRound({ round: 0, alter: statistics }), handle, signal);
    assert.deepEqual(answer, { delta: table, examples: 40, loss: 0, metrics: {}, testExamples: 0 });
    assert.deepEqual(await fitsOf().fitOf(await training(1), handle, signal), expected);
    assert.deepEqual(await fitsOf().fitOf(await training(2), handle, signal), expected);
    assert.equal(passes.length, 1);
    assert.equal(downloads, 1);
  });

  it('learn late at a site that was not in the round of statistics', async () => {
    const fit = await fitsOf().fitOf(await training(5), handle, signal);
    assert.deepEqual(fit['z'], { center: 1, scale: 2 });
    assert.equal(passes.length, 1);
  });

  it('keep what the site learned when the statistics are asked for again', async () => {
    const round = await orderedRound({ round: 0, alter: statistics });
    await fitsOf().answer(round, handle, signal);
    await fitsOf().answer(round, handle, signal);
    const fit = await fitsOf().fitOf(await training(1), handle, signal);
    assert.deepEqual(fit['z'], { center: 1, scale: 2 });
  });

  it('refuse a table that is not the one of the ledger', async () => {
    await assert.rejects(
      fitsOf(float32ToBytes(Float32Array.of(1, 1, 1))).fitOf(await training(), handle, signal),
      refusal('PROOF_INVALID'),
    );
  });

  it('refuse a vocabulary that the site does not have, or has otherwise', async () => {
    for (const vocabularies of [[], [{ name: 'icd', values: [...CODES].reverse() }]])
      await assert.rejects(
        fitsOf().fitOf(await training(), { ...handle, vocabularies }, signal),
        refusal('POLICY_REFUSED', /vocabulary icd/),
      );
  });

  it('tell nothing of a site that is held out', async () => {
    const spec: Spec = { ...SPEC, evaluation: { metrics: ['auc'], holdOutSite: 'west' }, minSites: 2 };
    const layout = statisticsLayout(features);
    const groups = [{ type: 'All' as const }, { type: 'HeldOut' as const, site: 'west' }];
    const length = vectorLength({ parameters: layout.length, metrics: [], groups });
    const round = await orderedRound({
      spec,
      round: 0,
      alter: (body) => ({ ...statistics(body), vectorLength: length }),
    });
    const { delta, examples } = await fitsOf().answer(round, handle, signal);
    assert.ok(delta.every((value) => value === 0));
    assert.equal(examples, 0);
    assert.equal(passes.length, 0);
  });

  it('of a site alone come from its own rows', () => {
    const found = { examples: 9, fit: { z: { center: 3, scale: 1 } }, table };
    assert.deepEqual(fitAlone({ features }, handle.vocabularies, found), {
      code: { categories: CODES },
      z: { center: 3, scale: 1 },
      x: { center: 4, scale: 2 },
    });
  });
});
