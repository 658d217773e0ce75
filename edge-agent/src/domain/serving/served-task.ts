import type { FederatedJobSpec, ModelManifest } from '@tributary/proto';

export type TaskType = FederatedJobSpec['task']['type'];

/**
 * The task of a registered model, from the activation that its job demanded of the last layer: Sigmoid, Softmax or
 * Linear. A manifest does not name it.
 */
export function taskOf({ topology }: Pick<ModelManifest, 'topology'>): TaskType {
  const last = topology.layers.at(-1);
  const activation = last?.type === 'Dense' || last?.type === 'Activation' ? last.activation : 'Linear';
  if (activation === 'Sigmoid') return 'Binary';
  return activation === 'Softmax' ? 'MultiClass' : 'Regression';
}

/** What the scores of a model mean, in order: the first name of a manifest is the label's column. */
export const scoreNames = ({ outputs }: Pick<ModelManifest, 'outputs'>): readonly string[] =>
  outputs.slice(1);

/** The name of the highest score of each row; the first of equal ones. */
export function topNames(scores: Float32Array, names: readonly string[]): readonly string[] {
  const rows = names.length === 0 ? 0 : scores.length / names.length;
  return Array.from({ length: rows }, (_, row) => {
    const first = row * names.length;
    let best = 0;
    for (let index = 1; index < names.length; index += 1)
      if ((scores[first + index] ?? 0) > (scores[first + best] ?? 0)) best = index;
    return names[best] ?? '';
  });
}
