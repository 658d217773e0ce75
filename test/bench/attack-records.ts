import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import {
  initialWeights,
  layoutOf,
  parseFederatedJob,
  type FederatedJobSpec,
  type Layout,
} from '@tributary/proto';
import { loadDataset } from '@tributary/edge-agent/internal/adapters/datasets/encoded-dataset.js';
import { layerSchema } from '@tributary/proto/internal/model/layers/layer-schema.js';
import { parse } from 'yaml';

import { datasetAt, withoutTestSplit } from '../demo/experiment.js';
import { repositoryRoot } from '../support/daemon.js';

/** Loans as the agents of the branch demo encode them. */
export interface Records {
  readonly count: number;
  /** Inputs of a record. */
  readonly width: number;
  /** `count` rows of `width` values. */
  readonly inputs: Float32Array;
  /** 1 where the loan went bad. */
  readonly labels: Float32Array;
}

/** A job of the branch demo with a model of our own, and the base model of its first round. */
export interface AttackedJob {
  readonly spec: FederatedJobSpec;
  readonly layout: Layout;
  readonly base: Float32Array;
}

export const ATTACKED_MODELS = { logistic: [1], mlp: [16, 1] } as const;

export type AttackedModel = keyof typeof ATTACKED_MODELS;

/** Every record counts alike up to the size of an ordinary site. */
const WEIGHT_CAP = 100;

/** The job of the branch demo: its features, optimizer, penalty, batch size and clipping. */
export async function branchSpec(): Promise<FederatedJobSpec> {
  const text = await readFile(join(repositoryRoot, 'test/demo/branch/job.yaml'), 'utf8');
  const { spec } = parseFederatedJob(parse(text));
  return withoutTestSplit({ ...spec, update: { ...spec.update, weightCap: WEIGHT_CAP } });
}

/** All loans of test/data, read and encoded by the agent. */
export async function loadRecords(spec: FederatedJobSpec): Promise<Records> {
  const dataset = datasetAt(spec.dataset.name, join(repositoryRoot, 'test/data/lending_club.csv'));
  const loaded = await loadDataset({ dataset, spec }, () => undefined);
  const { width, train } = loaded;
  const count = train.rows;
  const inputs = new Float32Array(count * width);
  const labels = new Float32Array(count);
  for (let row = 0; row < count; row += 1) train.copyRow(row, row, inputs, labels);
  loaded.close();
  return { count, width, inputs, labels };
}

/** `spec` with a dense network of hidden ReLU units and one logit. */
export function attackedJob(spec: FederatedJobSpec, model: AttackedModel, width: number): AttackedJob {
  const layers = ATTACKED_MODELS[model].map((units, index, { length }) =>
    layerSchema.parse({ type: 'Dense', units, activation: index === length - 1 ? 'Sigmoid' : 'Relu' }),
  );
  return {
    spec: { ...spec, model: { ...spec.model, layers } },
    layout: layoutOf(layers, [width]),
    base: initialWeights(layers, [width], spec.model.seed),
  };
}

/** The inputs of a record, as a view. */
export function inputsOf({ inputs, width }: Records, record: number): Float32Array {
  return inputs.subarray(record * width, (record + 1) * width);
}
