import type { LocalFederation } from '../../support/federation.js';
import type { SiteData } from '../baseline.js';
import type { DemoPlan } from '../demo-plan.js';
import type { Evaluation } from '../evaluation.js';
import type { DemoOptions, StreamFigures } from '../result.js';
import { heldOutRecords } from './held-out.js';
import { LiveView } from './live-view.js';
import { predictionFailures, replayAll, type PredictionFigures } from './predictions.js';
import { rollOut } from './rollout.js';
import type { SiteBrokers } from './site-brokers.js';
import type { ReplayedSite } from './site-replay.js';

export interface Streams {
  readonly plan: DemoPlan;
  readonly federation: LocalFederation;
  readonly brokers: SiteBrokers;
  readonly sites: readonly SiteData[];
  readonly evaluation: Evaluation;
}

export interface StreamsShown {
  readonly predictions: PredictionFigures;
  readonly stream?: StreamFigures;
  readonly failures: readonly string[];
}

/** Rolls the model of the first split out, and replays that split's test rows to the agents; then the stream of the plan. */
export async function showStreams(
  { plan, federation, brokers, sites, evaluation }: Streams,
  { say, live = () => undefined }: DemoOptions,
): Promise<StreamsShown> {
  const [job] = plan.jobs;
  if (job === undefined) throw new Error('a plan has a job');
  const served = { model: job.spec.model.name, version: 1 };
  say(`Rolling ${served.model}@${String(served.version)} out`);
  await rollOut(federation, served);
  const replayed: ReplayedSite[] = [];
  for (const { site, handle } of sites) {
    const offline = evaluation.firstSplit.get(site);
    if (offline === undefined) throw new Error(`no evaluation of ${site}`);
    replayed.push({
      site,
      port: brokers.portOf(site),
      records: await heldOutRecords(handle, job.spec, offline),
    });
  }
  say(
    `Publishing the ${plan.rows} held out of training at each site's broker; some of the answers as they arrive:`,
  );
  const predictions = await replayAll(replayed, {
    pipeline: plan.records,
    served,
    seconds: plan.replaySeconds,
    live: new LiveView(live),
  });
  const stream = await plan.stream?.replay(brokers.portOf(plan.stream.site), live);
  return {
    predictions,
    ...(stream && { stream: stream.figures }),
    failures: [...predictionFailures(predictions), ...(stream?.failures ?? [])],
  };
}
