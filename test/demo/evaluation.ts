import type { WorkerTrainer } from '@tributary/edge-agent/internal/adapters/training/worker-trainer.js';
import type { Predictions } from '@tributary/edge-agent/internal/domain/metrics/predictions.js';
import type { FederatedJob } from '@tributary/proto';

import { estimateOver, scoreSite, type References, type SiteData } from './baseline.js';
import { gainOf, meanGain, type GainInterval } from './gain.js';
import { mean, type SiteResult } from './result.js';

export interface Trained {
  readonly jobs: readonly FederatedJob[];
  readonly trainer: WorkerTrainer;
  readonly sites: readonly SiteData[];
  /** One a job, as the weights of the federation. */
  readonly references: readonly References[];
  readonly models: readonly Float32Array[];
}

export interface Evaluation {
  readonly sites: readonly SiteResult[];
  /** Means over sites and splits. */
  readonly auc: { readonly local: number; readonly federated: number; readonly pooled: number };
  readonly gain: GainInterval;
  /** What the federated model of the first split says of each site's test rows. */
  readonly firstSplit: ReadonlyMap<string, Predictions>;
}

/** Compares the models on the sites' own test rows. */
export async function evaluate(trained: Trained): Promise<Evaluation> {
  const results: SiteResult[] = [];
  const firstSplit = new Map<string, Predictions>();
  for (const site of trained.sites) {
    const scored = await scoresAt(trained, site);
    const [first] = scored.federated;
    if (first !== undefined) firstSplit.set(site.site, first);
    results.push(resultOf(site, scored));
  }
  return {
    sites: results,
    auc: {
      local: mean(results.map(({ local }) => local.auc)),
      federated: mean(results.map(({ federated }) => federated.auc)),
      pooled: mean(results.map(({ pooled }) => pooled.auc)),
    },
    gain: meanGain(results.map(({ gain }) => gain)),
    firstSplit,
  };
}

/** One a split. */
type Scores = Readonly<Record<'local' | 'federated' | 'pooled', readonly Predictions[]>>;

async function scoresAt({ jobs, trainer, references, models }: Trained, site: SiteData): Promise<Scores> {
  const scored: Record<keyof Scores, Predictions[]> = { local: [], federated: [], pooled: [] };
  for (const [index, { spec }] of jobs.entries()) {
    const { local, federated, pooled } = weightsOf(site, references[index], models[index]);
    scored.local.push(await scoreSite(trainer, spec, site, local));
    scored.federated.push(await scoreSite(trainer, spec, site, federated));
    scored.pooled.push(await scoreSite(trainer, spec, site, pooled));
  }
  return scored;
}

function resultOf({ site, rows }: SiteData, scored: Scores): SiteResult {
  const testRows = Math.round(mean(scored.local.map(({ labels }) => labels.length)));
  return {
    site,
    trainRows: rows - testRows,
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
