import { runDemo } from '../federated-demo.js';
import { pipelineAt } from '../replay/planned-pipeline.js';
import type { DemoOptions, DemoResult } from '../result.js';
import { jobsOnSplits, testData } from '../splits.js';
import { REGIONS, splitByRegion } from './regions.js';

/** Four branches of a lender train one model on five fixed splits of their loans, each split a job of the queue. */
export async function runBranch(options: DemoOptions): Promise<DemoResult> {
  const branches = splitByRegion(await testData('lending_club.csv'));
  const plan = {
    name: 'branch',
    federation: 'lenders',
    dataset: 'loans',
    rows: 'loans',
    sites: REGIONS.map((name) => ({ name, csv: branches[name], labels: { kind: 'branch' } })),
    jobs: await jobsOnSplits('test/demo/branch/job.yaml'),
    records: await pipelineAt('test/demo/branch/applications.yaml'),
    replaySeconds: 8,
  };
  return runDemo(plan, options);
}
