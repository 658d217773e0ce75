import type { LearningTask } from '../documents/learning-task.js';
import type { Problem } from '../documents/problem.js';
import { TributaryError } from '../errors/tributary-error.js';
import { LIMITS } from '../limits.js';
import { buildLayout, tensorSize, type Layout } from '../parameters/layout.js';
import type { Activation } from './layers/fields.js';
import { isProblem, type LayerTensor } from './layers/layer-kind.js';
import { kindOf } from './layers/layer-kinds.js';
import type { LayerSpec } from './layers/layer-schema.js';
import { elementsOf, shapeText, type Shape } from './shape.js';

/** Name of a layer in tensors and exports: its type and index, such as `dense_0`. */
export function layerName(type: LayerSpec['type'], index: number): string {
  return `${type.toLowerCase()}_${String(index)}`;
}

/** Shapes of a row before the first layer and after each; problems, with paths from the list of layers on, if any. */
function walk(layers: readonly LayerSpec[], input: Shape): { shapes: readonly Shape[]; problem?: Problem } {
  const shapes: Shape[] = [input];
  for (const [index, spec] of layers.entries()) {
    const output = kindOf(spec).output(spec, shapes.at(-1) ?? input);
    if (isProblem(output)) return { shapes, problem: { ...output, path: [index, ...output.path] } };
    if (elementsOf(output) > LIMITS.activationElements) {
      const what = `its output ${shapeText(output)} has more than ${String(LIMITS.activationElements)} elements`;
      return { shapes, problem: { path: [index], what, fix: 'make it smaller' } };
    }
    shapes.push(output);
  }
  return { shapes };
}

/**
 * Shape of a row before the first layer and after each, `layers.length + 1` of them. Throws INVALID_ARGUMENT where the
 * layers do not fit together, which topologyProblems says better.
 */
export function layerShapes(layers: readonly LayerSpec[], input: Shape): readonly Shape[] {
  const { shapes, problem } = walk(layers, input);
  if (problem === undefined) return shapes;
  throw new TributaryError('INVALID_ARGUMENT', `layers.${problem.path.join('.')}: ${problem.what}`);
}

/** The tensors of a network on rows of shape `input`, in the order of its layout. Throws as {@link layerShapes} does. */
export function modelTensors(layers: readonly LayerSpec[], input: Shape): readonly LayerTensor[] {
  const shapes = layerShapes(layers, input);
  return layers.flatMap((spec, index) =>
    kindOf(spec)
      .tensors(spec, shapes[index] ?? input)
      .map((tensor) => ({ ...tensor, name: `${layerName(spec.type, index)}/${tensor.name}` })),
  );
}

/**
 * Layout of a network on rows of shape `input`: layer by layer the tensors that TensorFlow.js has for it, in its order
 * (a dense layer: kernel of inputs x units, row-major, then bias). Throws LIMIT_EXCEEDED above
 * LIMITS.modelParameters, and as {@link layerShapes} does.
 */
export function layoutOf(layers: readonly LayerSpec[], input: Shape): Layout {
  return buildLayout(modelTensors(layers, input));
}

/** Elements of the layout of a network on rows of shape `input`. Throws as {@link layerShapes} does. */
export function parameterCount(layers: readonly LayerSpec[], input: Shape): number {
  return modelTensors(layers, input).reduce((sum, { shape }) => sum + tensorSize(shape), 0);
}

/**
 * Problems with a stack of layers, with paths from the list of layers on; none means that layoutOf succeeds. `indices`
 * are those of the feature plan: for each input the number of indices that it may hold, undefined for magnitudes.
 */
export function topologyProblems(
  layers: readonly LayerSpec[],
  task: LearningTask,
  input: Shape,
  indices: readonly (number | undefined)[] = [],
): Problem[] {
  const { shapes, problem } = walk(layers, input);
  const fit = problem === undefined ? sizeProblems(layers, input) : [problem];
  return [
    ...outputProblems(layers, task, problem ? undefined : shapes.at(-1)),
    ...hiddenProblems(layers),
    ...embeddingProblems(layers, indices),
    ...fit,
  ];
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

/** The last layer is Dense, or an Activation after whatever gives as many values; its output is the prediction. */
function outputProblems(
  layers: readonly LayerSpec[],
  task: LearningTask,
  output: Shape | undefined,
): Problem[] {
  const last = layers.length - 1;
  const layer = layers[last];
  const { units, activation } = outputOf(task);
  const of = `the last layer of a task of type ${task.type}`;
  if (layer?.type !== 'Dense' && layer?.type !== 'Activation')
    return [{ path: [last, 'type'], what: `${of} is Dense or an Activation`, fix: 'add one' }];
  const problems: Problem[] = [];
  if (layer.type === 'Dense' && layer.units !== units)
    problems.push({
      path: [last, 'units'],
      what: `${of} has ${String(units)} units`,
      fix: `write ${String(units)}`,
    });
  else if (output !== undefined && (output.length !== 1 || output[0] !== units)) {
    const what = `${of} has the output [${String(units)}], not ${shapeText(output)}`;
    problems.push({ path: [last], what, fix: 'put a Flatten, a global pooling or a Dense before it' });
  }
  if (layer.activation !== activation)
    problems.push({ path: [last, 'activation'], what: `${of} is ${activation}`, fix: `write ${activation}` });
  return problems;
}

function hiddenProblems(layers: readonly LayerSpec[]): Problem[] {
  return layers.flatMap((layer, index): Problem[] => {
    const softmax = 'activation' in layer && layer.activation === 'Softmax';
    if (!softmax || index === layers.length - 1) return [];
    return [
      { path: [index, 'activation'], what: 'Softmax belongs to the last layer', fix: 'use Relu or Tanh' },
    ];
  });
}

/** An Embedding reads beyond its table where an index is too large, so it takes inputs that are indices, and nothing else. */
function embeddingProblems(
  layers: readonly LayerSpec[],
  indices: readonly (number | undefined)[],
): Problem[] {
  return layers.flatMap((layer, index): Problem[] => {
    if (layer.type !== 'Embedding') return [];
    if (index > 0 || indices.includes(undefined)) {
      const what = 'Embedding takes indices only';
      const fix = 'put it first, over features that are all Categorical with encoding Index';
      return [{ path: [index, 'type'], what, fix }];
    }
    const most = indices.reduce<number>((largest, count) => Math.max(largest, count ?? 0), 0);
    if (layer.inputDim >= most) return [];
    const what = `the features have ${String(most)} indices, unknown ones included`;
    return [{ path: [index, 'inputDim'], what, fix: `write ${String(most)} or more` }];
  });
}

function sizeProblems(layers: readonly LayerSpec[], input: Shape): Problem[] {
  const tensors = modelTensors(layers, input);
  const parameters = tensors.reduce((sum, { shape }) => sum + tensorSize(shape), 0);
  if (parameters > LIMITS.modelParameters) {
    const what = `${String(parameters)} parameters are more than ${String(LIMITS.modelParameters)}`;
    return [{ path: [], what, fix: 'use fewer units or fewer categories' }];
  }
  if (tensors.some(({ trainable }) => trainable)) return [];
  return [{ path: [], what: 'no layer has weights that can be learned', fix: 'add a Dense layer' }];
}
