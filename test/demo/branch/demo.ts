import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { WorkerTrainer } from '@tributary/edge-agent/internal/adapters/training/worker-trainer.js';
import { parseFederatedJob, type FederatedJob } from '@tributary/proto';
import { parse } from 'yaml';

import { repositoryRoot } from '../../support/daemon.js';
import { LocalFederation } from '../../support/federation.js';
import { estimateOver, scoreSite, trainReferences, type References, type SiteData } from '../baseline.js';
import { failuresOf } from '../report.js';
import { mean, type DemoOptions, type DemoResult, type SiteResult } from '../result.js';
import { readTraffic } from '../traffic.js';
import { followRounds } from '../rounds.js';
import { exportedWeights } from '../weights.js';
import { REGIONS, splitByRegion } from './regions.js';

const SPLIT_SEEDS = [1, 2, 3, 4, 5];
const DATASET = 'loans';

/** Four branches of a lender train one model on five fixed splits of their loans, each split a job of the queue. */
export async function runBranch(options: DemoOptions): Promise<DemoResult> {
  const start = performance.now();
  const folder = await mkdtemp(join(tmpdir(), 'tributary-demo-'));
  const jobs = await readJobs();
  options.say(`Starting a coordinator and ${String(REGIONS.length)} agents in ${folder}`);
  const federation = await LocalFederation.start(folder, 'lenders');
  const trainer = new WorkerTrainer();
  try {
    const sites = await joinBranches(federation, options);
    for (const job of jobs) await federation.apply(job);
    const rounds = followRounds(federation, jobs, options.say);
    const references = await trainAllReferences(trainer, jobs, sites, folder);
    await rounds;
    const result = await evaluate({ federation, trainer, jobs, sites, references, start });
    options.finished(result);
    if (options.keep) await interrupted(options);
    return result;
  } finally {
    await trainer.close();
    await federation.stop();
  }
}

/** One job a split: the same document under another name, model name and split seed. */
async function readJobs(): Promise<FederatedJob[]> {
  const text = await readFile(join(repositoryRoot, 'test/demo/branch/job.yaml'), 'utf8');
  const job = parseFederatedJob(parse(text));
  return SPLIT_SEEDS.map((splitSeed) => {
    const name = `${job.metadata.name}-${String(splitSeed)}`;
    const spec = {
      ...job.spec,
      model: { ...job.spec.model, name },
      dataset: { ...job.spec.dataset, splitSeed },
    };
    return { ...job, metadata: { ...job.metadata, name }, spec };
  });
}

async function joinBranches(federation: LocalFederation, { say }: DemoOptions): Promise<SiteData[]> {
  const csv = await readFile(join(repositoryRoot, 'test/data/lending_club.csv'), 'utf8');
  const branches = splitByRegion(csv);
  const sites: SiteData[] = [];
  for (const site of REGIONS) {
    await federation.addSite({
      name: site,
      csv: branches[site],
      dataset: DATASET,
      labels: { kind: 'branch' },
    });
    const rows = branches[site].trimEnd().split('\n').length - 1;
    say(`${site}: joined with ${String(rows)} loans`);
    sites.push({ site, csv: branches[site], path: join(federation.siteFolder(site), `${DATASET}.csv`) });
  }
  return sites;
}

async function trainAllReferences(
  trainer: WorkerTrainer,
  jobs: readonly FederatedJob[],
  sites: readonly SiteData[],
  folder: string,
): Promise<References[]> {
  const references: References[] = [];
  for (const { spec } of jobs) references.push(await trainReferences(trainer, spec, sites, folder));
  return references;
}

interface Finished {
  readonly federation: LocalFederation;
  readonly trainer: WorkerTrainer;
  readonly jobs: readonly FederatedJob[];
  readonly sites: readonly SiteData[];
  readonly references: readonly References[];
  /** performance.now() when the demo began. */
  readonly start: number;
}

async function evaluate(finished: Finished): Promise<DemoResult> {
  const { federation, jobs, sites } = finished;
  const models: Float32Array[] = [];
  for (const { spec } of jobs) models.push(await exportedWeights(federation, spec.model.name));
  const results: SiteResult[] = [];
  for (const site of sites) results.push(await evaluateSite(finished, site, models));
  const auc = {
    local: mean(results.map((site) => site.local.auc)),
    federated: mean(results.map((site) => site.federated.auc)),
    pooled: mean(results.map((site) => site.pooled.auc)),
  };
  const traffic = await readTraffic(
    federation,
    jobs.map((job) => job.metadata.name),
  );
  const failures = failuresOf({ auc, updates: traffic.updates });
  const addresses = await federation.addresses();
  return {
    demo: 'branch',
    ok: failures.length === 0,
    failures,
    sites: results,
    splits: jobs.length,
    auc,
    ...traffic,
    seconds: (performance.now() - finished.start) / 1_000,
    places: [
      ['logs', join(federation.folder, '*.log, sites/*/agent.log')],
      ['metrics', `http://${addresses.metrics}/metrics (while it runs: --keep)`],
      ['data', federation.folder],
    ],
  };
}

async function evaluateSite(
  { trainer, jobs, references }: Finished,
  site: SiteData,
  models: readonly Float32Array[],
): Promise<SiteResult> {
  const scored = { local: [], federated: [], pooled: [] } as Record<
    'local' | 'federated' | 'pooled',
    Awaited<ReturnType<typeof scoreSite>>[]
  >;
  for (const [index, { spec }] of jobs.entries()) {
    const reference = references[index];
    const alone = reference?.alone.get(site.site);
    const federated = models[index];
    if (reference === undefined || alone === undefined || federated === undefined)
      throw new Error(`no model of ${site.site}`);
    scored.local.push(await scoreSite(trainer, spec, site, alone));
    scored.federated.push(await scoreSite(trainer, spec, site, federated));
    scored.pooled.push(await scoreSite(trainer, spec, site, reference.pooled));
  }
  const rows = site.csv.trimEnd().split('\n').length - 1;
  const testRows = Math.round(mean(scored.local.map(({ labels }) => labels.length)));
  return {
    site: site.site,
    trainRows: rows - testRows,
    testRows,
    local: estimateOver(scored.local),
    federated: estimateOver(scored.federated),
    pooled: estimateOver(scored.pooled),
  };
}

async function interrupted({ say }: DemoOptions): Promise<void> {
  say('The daemons go on running. Ctrl-C ends them.');
  await new Promise<void>((resolve) => process.once('SIGINT', () => resolve()));
}
