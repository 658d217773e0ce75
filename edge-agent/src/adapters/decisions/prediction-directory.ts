import { join } from 'node:path';

import { requireName, TributaryError, type DecisionRule } from '@tributary/proto';

import type { PredictionLog, PredictionLogs } from '../../serving-ports.js';
import { PredictionFiles } from './prediction-files.js';

export interface PredictionDirectoryOptions {
  readonly directory: string;
  /** Secret of the site, under which digests of inputs are made: nobody can try out what the input was. */
  readonly key: Uint8Array;
  readonly now: () => number;
}

/** The logs of predictions in a folder for each source, so that each keeps to its own rule. */
export class PredictionDirectory implements PredictionLogs {
  readonly #options: PredictionDirectoryOptions;
  readonly #open = new Map<string, Promise<PredictionFiles>>();

  constructor(options: PredictionDirectoryOptions) {
    this.#options = options;
  }

  async open(source: string, rule: DecisionRule): Promise<PredictionLog> {
    requireName(source, 'source');
    if (this.#open.has(source))
      throw new TributaryError('ALREADY_EXISTS', `predictions of ${source} are logged already`, {
        hint: 'give each pipeline a name of its own; oip is that of the local endpoint',
      });
    const { directory, key, now } = this.#options;
    const opening = PredictionFiles.open({ directory: join(directory, source), key, rule, now });
    this.#open.set(source, opening);
    try {
      return await opening;
    } catch (error) {
      this.#open.delete(source);
      throw error;
    }
  }

  /** Writes what waits, of all sources. */
  async close(): Promise<void> {
    await Promise.allSettled([...this.#open.values()].map(async (log) => (await log).close()));
  }
}
