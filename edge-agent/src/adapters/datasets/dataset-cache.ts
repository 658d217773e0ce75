import { stat } from 'node:fs/promises';

import type { EncodedDataset, LoadRequest } from './csv-dataset.js';

type Load = (request: LoadRequest, checkpoint: () => void) => Promise<EncodedDataset>;

/**
 * Keeps the dataset that was loaded last, for the next round of the same job. Another file, another declaration or a
 * file that has changed since (inode, size, time of change) is read anew, the old rows being let go first.
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
    this.#dataset = undefined;
    const dataset = await this.#load(request, checkpoint);
    // A file that was written to while it was read is not remembered.
    if ((await keyOf(request)) === key) {
      this.#key = key;
      this.#dataset = dataset;
    }
    return dataset;
  }
}

async function keyOf({ dataset, spec }: LoadRequest): Promise<string> {
  const { path, minimumRows } = dataset;
  const file = await stat(path, { bigint: true }).catch(() => undefined);
  const version = file === undefined ? '' : [file.ino, file.size, file.mtimeNs, file.ctimeNs].join(':');
  return JSON.stringify([path, version, minimumRows, spec.dataset, spec.features, spec.task]);
}
