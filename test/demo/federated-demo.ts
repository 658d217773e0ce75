import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { WorkerTrainer } from '@tributary/edge-agent/internal/adapters/training/worker-trainer.js';

import { LocalFederation } from '../support/federation.js';
import { trainReferences, type References } from './baseline.js';
import type { DemoPlan } from './demo-plan.js';
import { evaluate, type Evaluation } from './evaluation.js';
import { joinSites } from './joining.js';
import { SiteBrokers } from './replay/site-brokers.js';
import { showStreams, type StreamsShown } from './replay/streams.js';
import { failuresOf } from './report.js';
import type { DemoOptions, DemoResult } from './result.js';
import { followRounds } from './rounds.js';
import { readTraffic } from './traffic.js';
import { exportedWeights } from './weights.js';

/**
 * Runs the jobs of a plan over real processes, trains the references meanwhile, compares on the sites' test rows, and
 * replays those rows to the agents, which serve the model by then.
 */
export async function runDemo(plan: DemoPlan, options: DemoOptions): Promise<DemoResult> {
  const start = performance.now();
  const folder = await mkdtemp(join(tmpdir(), 'tributary-demo-'));
  options.say(`Starting a coordinator and ${String(plan.sites.length)} agents in ${folder}`);
  const brokers = await SiteBrokers.start(plan.sites.map(({ name }) => name));
  const federation = await LocalFederation.start(folder, plan.federation);
  const trainer = new WorkerTrainer();
  try {
    const sites = await joinSites({ federation, brokers, plan, say: options.say });
    if (plan.leftOut !== undefined)
      options.say(`${String(plan.leftOut.rows)} ${plan.rows} left out: ${plan.leftOut.why}`);
    for (const job of plan.jobs) await federation.apply(job);
    const rounds = followRounds(federation, plan.jobs, options.say);
    const references: References[] = [];
    for (const { spec } of plan.jobs) references.push(await trainReferences(trainer, spec, sites, folder));
    await rounds;
    const models: Float32Array[] = [];
    for (const { spec } of plan.jobs) models.push(await exportedWeights(federation, spec.model.name));
    const evaluation = await evaluate({ jobs: plan.jobs, trainer, sites, references, models });
    const streams = await showStreams({ plan, federation, brokers, sites, evaluation }, options);
    const result = await resultOf({ plan, federation, brokers, evaluation, streams, start });
    options.finished(result);
    if (options.keep) await interrupted(options);
    return result;
  } finally {
    await trainer.close();
    await federation.stop();
    await brokers.stop();
  }
}

interface Finished {
  readonly plan: DemoPlan;
  readonly federation: LocalFederation;
  readonly brokers: SiteBrokers;
  readonly evaluation: Evaluation;
  readonly streams: StreamsShown;
  /** performance.now() when the demo began. */
  readonly start: number;
}

async function resultOf({
  plan,
  federation,
  brokers,
  evaluation,
  streams,
  start,
}: Finished): Promise<DemoResult> {
  const { sites, auc, gain } = evaluation;
  const traffic = await readTraffic(
    federation,
    plan.jobs.map((job) => job.metadata.name),
  );
  const failures = [...failuresOf({ auc, updates: traffic.updates }), ...streams.failures];
  const addresses = await federation.addresses();
  return {
    demo: plan.name,
    ok: failures.length === 0,
    failures,
    sites,
    splits: plan.jobs.length,
    auc,
    gain,
    ...(plan.leftOut && { leftOut: plan.leftOut }),
    ...traffic,
    predictions: streams.predictions,
    ...(streams.stream && { stream: streams.stream }),
    seconds: (performance.now() - start) / 1_000,
    places: [
      ['logs', join(federation.folder, '*.log, sites/*/agent.log')],
      [
        'brokers',
        `${plan.sites.map(({ name }) => `${name} ${brokers.urlOf(name)}`).join(', ')} (while it runs: --keep)`,
      ],
      ['metrics', `http://${addresses.metrics}/metrics (while it runs: --keep)`],
      ['data', federation.folder],
    ],
  };
}

async function interrupted({ say }: DemoOptions): Promise<void> {
  say('The daemons go on running. Ctrl-C ends them.');
  await new Promise<void>((resolve) => process.once('SIGINT', () => resolve()));
}
