import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { WorkerTrainer } from '@tributary/edge-agent/internal/adapters/training/worker-trainer.js';

import { LocalFederation } from '../support/federation.js';
import { rowsOf } from '../support/dataset-rows.js';
import { estimateOver, scoreSite, trainReferences, type References, type SiteData } from './baseline.js';
import type { DemoPlan } from './demo-plan.js';
import { datasetAt } from './experiment.js';
import { gainOf, meanGain } from './gain.js';
import { failuresOf } from './report.js';
import { mean, type DemoOptions, type DemoResult, type SiteResult } from './result.js';
import { followRounds } from './rounds.js';
import { readTraffic } from './traffic.js';
import { exportedWeights } from './weights.js';

/** Runs the jobs of a plan over real processes, trains the references meanwhile, and compares on the sites' test rows. */
export async function runDemo(plan: DemoPlan, options: DemoOptions): Promise<DemoResult> {
  const start = performance.now();
  const folder = await mkdtemp(join(tmpdir(), 'tributary-demo-'));
  options.say(`Starting a coordinator and ${String(plan.sites.length)} agents in ${folder}`);
  const federation = await LocalFederation.start(folder, plan.federation);
  const trainer = new WorkerTrainer();
  try {
    const sites = await joinSites(federation, plan, options);
    if (plan.leftOut !== undefined)
      options.say(`${String(plan.leftOut.rows)} ${plan.rows} left out: ${plan.leftOut.why}`);
    for (const job of plan.jobs) await federation.apply(job);
    const rounds = followRounds(federation, plan.jobs, options.say);
    const references: References[] = [];
    for (const { spec } of plan.jobs) references.push(await trainReferences(trainer, spec, sites, folder));
    await rounds;
    const result = await evaluate({ plan, federation, trainer, sites, references, start });
    options.finished(result);
    if (options.keep) await interrupted(options);
    return result;
  } finally {
    await trainer.close();
    await federation.stop();
  }
}

async function joinSites(
  federation: LocalFederation,
  { dataset, sites, rows: rowName }: DemoPlan,
  { say }: DemoOptions,
): Promise<SiteData[]> {
  const joined: SiteData[] = [];
  for (const { name, csv, view, labels } of sites) {
    const declared = { name: dataset, path: `./${dataset}.csv`, format: 'Csv', ...(view && { view }) };
    await federation.addSite({ name, csv, dataset, labels, config: { datasets: [declared] } });
    const handle = datasetAt(name, join(federation.siteFolder(name), `${dataset}.csv`), view);
    const rows = (await rowsOf(handle)).length;
    say(`${name}: joined with ${String(rows)} ${rowName}`);
    joined.push({ site: name, handle, rows });
  }
  // A round needs minSites only: a site that connects later would miss the first ones, and the figures would vary.
  for (const { name } of sites) await federation.cliText('wait', `site/${name}`, '--for', 'condition=Ready');
  return joined;
}

interface Finished {
  readonly plan: DemoPlan;
  readonly federation: LocalFederation;
  readonly trainer: WorkerTrainer;
  readonly sites: readonly SiteData[];
  readonly references: readonly References[];
  /** performance.now() when the demo began. */
  readonly start: number;
}

async function evaluate(finished: Finished): Promise<DemoResult> {
  const { plan, federation, sites } = finished;
  const models: Float32Array[] = [];
  for (const { spec } of plan.jobs) models.push(await exportedWeights(federation, spec.model.name));
  const results: SiteResult[] = [];
  for (const site of sites) results.push(await evaluateSite(finished, site, models));
  const auc = {
    local: mean(results.map((site) => site.local.auc)),
    federated: mean(results.map((site) => site.federated.auc)),
    pooled: mean(results.map((site) => site.pooled.auc)),
  };
  const traffic = await readTraffic(
    federation,
    plan.jobs.map((job) => job.metadata.name),
  );
  const failures = failuresOf({ auc, updates: traffic.updates });
  const addresses = await federation.addresses();
  return {
    demo: plan.name,
    ok: failures.length === 0,
    failures,
    sites: results,
    splits: plan.jobs.length,
    auc,
    gain: meanGain(results.map(({ gain }) => gain)),
    ...(plan.leftOut && { leftOut: plan.leftOut }),
    ...traffic,
    seconds: (performance.now() - finished.start) / 1_000,
    places: [
      ['logs', join(federation.folder, '*.log, sites/*/agent.log')],
      ['metrics', `http://${addresses.metrics}/metrics (while it runs: --keep)`],
      ['data', federation.folder],
    ],
  };
}

type Scores = Awaited<ReturnType<typeof scoreSite>>;

async function evaluateSite(
  { plan, trainer, references }: Finished,
  site: SiteData,
  models: readonly Float32Array[],
): Promise<SiteResult> {
  const scored: Record<'local' | 'federated' | 'pooled', Scores[]> = { local: [], federated: [], pooled: [] };
  for (const [index, { spec }] of plan.jobs.entries()) {
    const { local, federated, pooled } = weightsOf(site, references[index], models[index]);
    scored.local.push(await scoreSite(trainer, spec, site, local));
    scored.federated.push(await scoreSite(trainer, spec, site, federated));
    scored.pooled.push(await scoreSite(trainer, spec, site, pooled));
  }
  const testRows = Math.round(mean(scored.local.map(({ labels }) => labels.length)));
  return {
    site: site.site,
    trainRows: site.rows - testRows,
    testRows,
    local: estimateOver(scored.local),
    federated: estimateOver(scored.federated),
    pooled: estimateOver(scored.pooled),
    gain: gainOf(scored.federated, scored.local),
  };
}

function weightsOf({ site }: SiteData, references?: References, federated?: Float32Array) {
  const local = references?.alone.get(site);
  if (references === undefined || local === undefined || federated === undefined)
    throw new Error(`no model of ${site}`);
  return { local, federated, pooled: references.pooled };
}

async function interrupted({ say }: DemoOptions): Promise<void> {
  say('The daemons go on running. Ctrl-C ends them.');
  await new Promise<void>((resolve) => process.once('SIGINT', () => resolve()));
}
