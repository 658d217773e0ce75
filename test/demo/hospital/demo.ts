import { runDemo } from '../federated-demo.js';
import { pipelineAt } from '../replay/planned-pipeline.js';
import type { DemoOptions, DemoResult } from '../result.js';
import { jobsOnSplits, testData } from '../splits.js';
import { hospitals } from './sites.js';
import { ward } from './ward.js';

/**
 * Three hospitals learn whether breast cancer comes back, or kills, within three years: the Rotterdam tumour bank by the
 * year of surgery, and the German Breast Cancer Study Group, whose records are of another form.
 */
export async function runHospital(options: DemoOptions): Promise<DemoResult> {
  const { sites, censored } = hospitals(await testData('rotterdam.csv'), await testData('gbsg.csv'));
  const plan = {
    name: 'hospital',
    federation: 'hospitals',
    dataset: 'patients',
    rows: 'patients',
    sites,
    jobs: await jobsOnSplits('test/demo/hospital/job.yaml'),
    records: await pipelineAt('test/demo/hospital/patients.yaml'),
    replaySeconds: 8,
    stream: await ward('gbsg'),
    leftOut: { why: 'censored within three years', rows: censored },
  };
  return runDemo(plan, options);
}
