import { runDemo } from '../federated-demo.js';
import type { DemoOptions, DemoResult } from '../result.js';
import { jobsOnSplits, testData } from '../splits.js';
import { hospitals } from './sites.js';

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
    leftOut: { why: 'censored within three years', rows: censored },
  };
  return runDemo(plan, options);
}
