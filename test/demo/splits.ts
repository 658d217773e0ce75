import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { parseFederatedJob, type FederatedJob } from '@tributary/proto';
import { parse } from 'yaml';

import { repositoryRoot } from '../support/daemon.js';

const SPLIT_SEEDS = [1, 2, 3, 4, 5];

/** The job of a demo on five fixed splits. `path` is relative to the repository. */
export async function jobsOnSplits(path: string): Promise<FederatedJob[]> {
  const job = parseFederatedJob(parse(await readFile(join(repositoryRoot, path), 'utf8')));
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

/** Text of a file of test/data. */
export function testData(name: string): Promise<string> {
  return readFile(join(repositoryRoot, 'test/data', name), 'utf8');
}
