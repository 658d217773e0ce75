import { compileFeatures, TributaryError, type FeaturePlan } from '@tributary/proto';

import { joinFits } from '../../domain/feature-fit.js';
import { scoreNames, taskOf, type TaskType } from '../../domain/serving/served-task.js';
import type { LoadedModel, ModelLoad, ModelRef } from '../../serving-ports.js';
import type { BackendName } from '../training/backend.js';
import type { BuildRequest } from './messages.js';

/** A version that answers or is being made ready, as the agent's side of the worker knows it. */
export interface ServedVersion {
  readonly key: string;
  readonly load: ModelLoad;
  readonly plan: FeaturePlan;
  readonly task: TaskType;
  readonly outputs: readonly string[];
  backend: string;
  /** Batches at work. */
  running: number;
  /** Set while it is being unloaded: called when nothing is left of it to answer. */
  leaving: (() => void) | undefined;
}

export const keyOf = ({ name, version }: ModelRef): string => `${name}@${String(version)}`;

/** Throws INVALID_ARGUMENT where a feature lacks its fit, POLICY_REFUSED where a vocabulary is missing. */
export function servedVersion(load: ModelLoad): ServedVersion {
  const { manifest, vocabularies = [], fit } = load;
  const joined = joinFits(manifest, { vocabularies, site: fit, federated: manifest.fit });
  const plan = compileFeatures(manifest.features, joined);
  if (plan.unfitted.length > 0)
    throw new TributaryError(
      'INVALID_ARGUMENT',
      `${keyOf(manifest)}: features without a fit at this site: ${plan.unfitted.slice(0, 8).join(', ')}`,
      {
        hint: 'a model with features scaled by each site is served where its job has trained',
        fields: { field: 'fit' },
      },
    );
  return {
    key: keyOf(manifest),
    load,
    plan,
    task: taskOf(manifest),
    outputs: scoreNames(manifest),
    backend: '',
    running: 0,
    leaving: undefined,
  };
}

/** What the worker builds, with weights that were just read. */
export async function buildRequest(
  { key, load, task }: ServedVersion,
  batchRows: number,
  backends: readonly BackendName[],
): Promise<BuildRequest> {
  const { layers, inputShape } = load.manifest.topology;
  const { layout } = load.manifest;
  // They go over to the worker: a view of something larger, or of what somebody else holds, is copied.
  const weights = Float32Array.from(await load.weights());
  return { kind: 'build', key, task, layers, layout, input: inputShape, weights, batchRows, backends };
}

export function describeVersion(version: ServedVersion, active: boolean): LoadedModel {
  const { task, outputs, backend, plan } = version;
  const { manifest } = version.load;
  return {
    name: manifest.name,
    version: manifest.version,
    manifest,
    task,
    outputs,
    columns: plan.columns,
    active,
    backend,
  };
}
