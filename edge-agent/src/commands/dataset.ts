import { TributaryError } from '@tributary/proto';

import type { AgentConfig } from '../config.js';
import { checkDataset, checkText } from './dataset-check.js';
import { describeDataset, descriptionText } from './dataset-describe.js';
import { datasetNamed, policedDatasets } from './dataset-handles.js';
import { readJob } from './job-file.js';

export interface DatasetFlags {
  readonly output: string;
  /** A job that the dataset is checked for. */
  readonly file?: string;
}

/** `dataset check`: what to print, and whether every dataset is usable. */
export async function datasetCheckCommand(
  config: AgentConfig,
  name: string | undefined,
  { output, file }: DatasetFlags,
): Promise<{ readonly text: string; readonly ok: boolean }> {
  const spec = file === undefined ? undefined : (await readJob(file)).spec;
  const policing = await policedDatasets(config);
  const wanted = name ?? spec?.dataset.name;
  const chosen = wanted === undefined ? policing.datasets : [datasetNamed(policing, wanted)];
  if (chosen.length === 0)
    throw new TributaryError('DATASET_UNKNOWN', 'agent.yaml declares no dataset', {
      hint: 'declare it under datasets, with name, path and format',
    });
  const checks = [];
  for (const dataset of chosen) checks.push(await checkDataset(dataset, policing, spec));
  const text = output === 'json' ? `${JSON.stringify(checks, null, 2)}\n` : checks.map(checkText).join('');
  return { text, ok: checks.every(({ ok }) => ok) };
}

/** `dataset describe`: what to print. */
export async function datasetDescribeCommand(
  config: AgentConfig,
  name: string,
  { output }: DatasetFlags,
): Promise<string> {
  const { handle } = datasetNamed(await policedDatasets(config), name);
  const description = await describeDataset(handle);
  return output === 'json' ? `${JSON.stringify(description, null, 2)}\n` : descriptionText(description);
}
