import type { LearningTask } from '../documents/learning-task.js';
import type { Activation, LayerSpec } from '../documents/model-spec.js';
import type { Problem } from '../documents/problem.js';
import { LIMITS } from '../limits.js';
import { buildLayout, type Layout } from '../parameters/layout.js';

/** Name of a layer in tensors and exports: its kind and index, `dense_0` first. */
export function layerName(index: number): string {
  return `dense_${String(index)}`;
}

/**
 * Layout of a stack of dense layers on `width` inputs: for each layer its kernel (inputs x units, row-major) and its
 * bias (units), in order. Throws LIMIT_EXCEEDED above LIMITS.modelParameters.
 */
export function layoutOf(layers: readonly LayerSpec[], width: number): Layout {
  const tensors = layers.flatMap(({ units }, index) => [
    { name: `${layerName(index)}/kernel`, shape: [layers[index - 1]?.units ?? width, units] },
    { name: `${layerName(index)}/bias`, shape: [units] },
  ]);
  return buildLayout(tensors);
}

/** Parameters of a stack of dense layers on `width` inputs. */
export function parameterCount(layers: readonly LayerSpec[], width: number): number {
  return layers.reduce((sum, { units }, index) => sum + ((layers[index - 1]?.units ?? width) + 1) * units, 0);
}

/** Problems with a stack of layers, with paths from the list of layers on; none means that layoutOf succeeds. */
export function topologyProblems(layers: readonly LayerSpec[], task: LearningTask, width: number): Problem[] {
  return [...outputProblems(layers, task), ...hiddenProblems(layers), ...sizeProblems(layers, width)];
}

/** What the last layer must be for a task, so that its output is the prediction and the loss is defined. */
export function outputOf(task: LearningTask): { readonly units: number; readonly activation: Activation } {
  switch (task.type) {
    case 'Binary':
      return { units: 1, activation: 'Sigmoid' };
    case 'MultiClass':
      return { units: task.classes.length, activation: 'Softmax' };
    case 'Regression':
      return { units: 1, activation: 'Linear' };
  }
}

function outputProblems(layers: readonly LayerSpec[], task: LearningTask): Problem[] {
  const last = layers.length - 1;
  const { units, activation } = outputOf(task);
  const layer = layers[last];
  const problems: Problem[] = [];
  if (layer?.units !== units) {
    const what = `the last layer of a task of type ${task.type} has ${String(units)} units`;
    problems.push({ path: [last, 'units'], what, fix: `write ${String(units)}` });
  }
  if (layer?.activation !== activation) {
    const what = `the last layer of a task of type ${task.type} is ${activation}`;
    problems.push({ path: [last, 'activation'], what, fix: `write ${activation}` });
  }
  return problems;
}

function hiddenProblems(layers: readonly LayerSpec[]): Problem[] {
  return layers.flatMap(({ activation }, index): Problem[] => {
    if (activation !== 'Softmax' || index === layers.length - 1) return [];
    return [
      { path: [index, 'activation'], what: 'Softmax belongs to the last layer', fix: 'use Relu or Tanh' },
    ];
  });
}

function sizeProblems(layers: readonly LayerSpec[], width: number): Problem[] {
  const parameters = parameterCount(layers, width);
  if (parameters <= LIMITS.modelParameters) return [];
  const what = `${String(parameters)} parameters are more than ${String(LIMITS.modelParameters)}`;
  return [{ path: [], what, fix: 'use fewer units or fewer categories' }];
}
