import { join } from 'node:path';

import { parseSitePolicy, TributaryError, type SitePolicySpec } from '@tributary/proto';

import { policyFile } from '../adapters/files/policy-file.js';
import type { AgentConfig } from '../config.js';
import { declaredDataset } from '../domain/datasets/declared-dataset.js';
import type { DatasetHandle, DatasetTerms } from '../ports.js';

/** A declared dataset on the terms of the policy, for commands that run beside the daemon. */
export interface PolicedDataset {
  readonly handle: DatasetHandle;
  /** False where the policy does not list it, or there is none: then no job reads it. */
  readonly listed: boolean;
}

export interface SitePolicing {
  /** Undefined where the site has none. */
  readonly policy: SitePolicySpec | undefined;
  readonly datasets: readonly PolicedDataset[];
}

/**
 * The datasets of agent.yaml as jobs would get them. A command neither needs nor has the secrets of the daemon: its
 * data versions are nobody's, and its split by key is its own, the same in every run.
 */
export async function policedDatasets(config: AgentConfig): Promise<SitePolicing> {
  const policy = (await policyFile(config.policyPath).read())?.spec;
  const site = { scratchDir: join(config.dataDir, 'scratch'), versionKey: new Uint8Array(32) };
  const datasets = config.datasets.map((declaration) => {
    const rule = policy?.datasets.find(({ name }) => name === declaration.name);
    const handle = {
      ...declaredDataset(declaration, site),
      ...(rule ?? defaultTerms()),
      name: declaration.name,
    };
    return { handle, listed: rule !== undefined };
  });
  return { policy, datasets };
}

/** Rejects with DATASET_UNKNOWN. */
export function datasetNamed({ datasets }: SitePolicing, name: string): PolicedDataset {
  const found = datasets.find(({ handle }) => handle.name === name);
  if (found !== undefined) return found;
  throw new TributaryError('DATASET_UNKNOWN', `agent.yaml declares no dataset ${name}`, {
    hint: `one of ${datasets.map(({ handle }) => handle.name).join(', ')}`,
  });
}

/** What a policy that says nothing of a dataset but its name would come to. */
function defaultTerms(): DatasetTerms {
  const [rule] = parseSitePolicy({
    apiVersion: 'tributary.dev/v1alpha1',
    kind: 'SitePolicy',
    metadata: { name: 'none' },
    spec: { authors: [], datasets: [{ name: 'any', columns: ['*'] }] },
  }).spec.datasets;
  if (rule === undefined) throw new TributaryError('INTERNAL', 'a policy without its rule');
  return rule;
}
