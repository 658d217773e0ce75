import type { FederatedJobSpec, LayerSpec, Layout } from '@tributary/proto';

/** Loss and gradient of a dense network by plain loops in double precision: slow, and simple enough to be read as right. */
export interface Reference {
  /** Mean loss without the penalty. */
  readonly loss: number;
  /** Derivative of mean loss + l2 * sum of squared kernels, in the order of the layout. */
  readonly gradient: Float64Array;
}

/** Layers that the reference knows. */
type DenseLayer = Extract<LayerSpec, { type: 'Dense' }>;
type Activation = 'Linear' | 'Relu' | 'Sigmoid' | 'Tanh' | 'Softmax';

function denseLayers(spec: FederatedJobSpec): readonly (DenseLayer & { activation: Activation })[] {
  return spec.model.layers.map((layer) => {
    if (layer.type !== 'Dense' || !isKnown(layer.activation))
      throw new TypeError('not a layer of the reference');
    return { ...layer, activation: layer.activation };
  });
}

const isKnown = (activation: string): activation is Activation => Object.hasOwn(apply, activation);

const apply: Record<Activation, (z: number) => number> = {
  Linear: (z) => z,
  Relu: (z) => Math.max(z, 0),
  Sigmoid: (z) => 1 / (1 + Math.exp(-z)),
  Tanh: Math.tanh,
  Softmax: (z) => z,
};

/** Derivative by the pre-activation, from the activation a. */
const slope: Record<Activation, (a: number) => number> = {
  Linear: () => 1,
  Relu: (a) => (a > 0 ? 1 : 0),
  Sigmoid: (a) => a * (1 - a),
  Tanh: (a) => 1 - a * a,
  Softmax: () => 1,
};

export function referenceGradient(
  spec: FederatedJobSpec,
  layout: Layout,
  weights: ArrayLike<number>,
  rows: readonly (readonly number[])[],
  labels: readonly number[],
): Reference {
  const gradient = new Float64Array(layout.length);
  let loss = 0;
  for (const [index, row] of rows.entries())
    loss += addRow(spec, layout, weights, row, labels[index] ?? 0, rows.length, gradient);
  for (const tensor of layout.tensors) {
    if (tensor.shape.length < 2) continue;
    const size = tensor.shape.reduce((product, axis) => product * axis, 1);
    for (let at = tensor.offset; at < tensor.offset + size; at += 1)
      gradient[at] = (gradient[at] ?? 0) + 2 * spec.training.l2 * (weights[at] ?? 0);
  }
  return { loss: loss / rows.length, gradient };
}

function addRow(
  spec: FederatedJobSpec,
  layout: Layout,
  weights: ArrayLike<number>,
  row: readonly number[],
  label: number,
  count: number,
  gradient: Float64Array,
): number {
  const layers = denseLayers(spec);
  const at = (tensor: number): number => layout.tensors[tensor]?.offset ?? 0;
  const stack = layers.map(({ units, activation }, index) => ({
    units,
    kernel: at(2 * index),
    bias: at(2 * index + 1),
    activation,
  }));
  const activations: number[][] = [[...row]];
  for (const [index, layer] of stack.entries()) {
    // The last layer stays a logit: its activation is part of the loss.
    const activation = index === stack.length - 1 ? apply.Linear : apply[layer.activation];
    activations.push(forward(layer, weights, activations[index] ?? []).map(activation));
  }
  const { loss, byLogit } = outputLoss(spec.task.type, activations.at(-1) ?? [], label);
  let upstream = byLogit.map((value) => value / count);
  for (const [index, layer] of [...stack.entries()].reverse()) {
    const input = activations[index] ?? [];
    const below = backward(layer, weights, input, upstream, gradient);
    const activation = layers[index - 1]?.activation ?? 'Linear';
    upstream = below.map((value, place) => value * slope[activation](input[place] ?? 0));
  }
  return loss;
}

interface Places {
  readonly units: number;
  readonly kernel: number;
  readonly bias: number;
}

/** Pre-activations of a layer. */
function forward(
  { units, kernel, bias }: Places,
  weights: ArrayLike<number>,
  input: readonly number[],
): number[] {
  return Array.from({ length: units }, (_, unit) =>
    input.reduce(
      (z, value, place) => z + value * (weights[kernel + place * units + unit] ?? 0),
      weights[bias + unit] ?? 0,
    ),
  );
}

/** Adds the layer's part to `gradient`; returns the derivative by its inputs. */
function backward(
  { units, kernel, bias }: Places,
  weights: ArrayLike<number>,
  input: readonly number[],
  upstream: readonly number[],
  gradient: Float64Array,
): number[] {
  const below = input.map(() => 0);
  for (const [unit, error] of upstream.entries()) {
    add(gradient, bias + unit, error);
    for (const [place, value] of input.entries()) {
      const weight = kernel + place * units + unit;
      add(gradient, weight, error * value);
      below[place] = (below[place] ?? 0) + error * (weights[weight] ?? 0);
    }
  }
  return below;
}

function outputLoss(
  task: FederatedJobSpec['task']['type'],
  logits: readonly number[],
  label: number,
): { loss: number; byLogit: number[] } {
  if (task === 'Regression')
    return { loss: ((logits[0] ?? 0) - label) ** 2, byLogit: [2 * ((logits[0] ?? 0) - label)] };
  if (task === 'Binary') {
    const p = apply.Sigmoid(logits[0] ?? 0);
    return { loss: -Math.log(label === 1 ? p : 1 - p), byLogit: [p - label] };
  }
  const total = logits.reduce((sum, z) => sum + Math.exp(z), 0);
  const p = logits.map((z) => Math.exp(z) / total);
  return {
    loss: -Math.log(p[label] ?? 0),
    byLogit: p.map((value, index) => value - Number(index === label)),
  };
}

const add = (values: Float64Array, at: number, value: number): void => {
  values[at] = (values[at] ?? 0) + value;
};
