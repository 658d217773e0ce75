import { NO_FIT } from '@tributary/proto';

import type { EncodedDataset, LoadRequest } from './encoded-dataset.js';
import { filesOf, versionOf } from './source-files.js';

type Load = (request: LoadRequest, checkpoint: () => void) => Promise<EncodedDataset>;

/**
 * Keeps the dataset that was loaded last, for the next round of the same job. Other files, another declaration, other
 * terms of the policy or a file that has changed since (inode, size, time of change) are read anew, the old rows being
 * let go first.
 */
export class DatasetCache {
  #key = '';
  #dataset: EncodedDataset | undefined;

  readonly #load: Load;

  constructor(load: Load) {
    this.#load = load;
  }

  async get(request: LoadRequest, checkpoint: () => void): Promise<EncodedDataset> {
    const key = await keyOf(request);
    if (this.#dataset !== undefined && this.#key === key) return this.#dataset;
    this.#dataset?.close();
    this.#dataset = undefined;
    const dataset = await this.#load(request, checkpoint);
    this.#dataset = dataset;
    // A file that was written to while it was read is not remembered.
    this.#key = (await keyOf(request)) === key ? key : '';
    return dataset;
  }
}

async function keyOf({ dataset, spec, fit = NO_FIT }: LoadRequest): Promise<string> {
  const { declaration, minimumRows, deidentification, vocabularies } = dataset;
  const versions: string[] = [];
  for (const source of declaration.sources) {
    const files = await filesOf(source).catch(() => []);
    for (const file of files) versions.push(file, await versionOf(file));
  }
  const terms = [declaration, minimumRows, deidentification, vocabularies];
  return JSON.stringify([
    versions,
    terms,
    fit,
    spec.dataset,
    spec.features,
    spec.task,
    spec.evaluation.subgroups,
  ]);
}
