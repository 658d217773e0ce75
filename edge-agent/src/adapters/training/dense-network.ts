import { tensor, tidy, Variable, type Tensor, type Tensor2D } from '@tensorflow/tfjs-core';
import { layers, sequential, type Sequential } from '@tensorflow/tfjs-layers';
import { TributaryError, type FederatedJobSpec, type Layout } from '@tributary/proto';

type LayerSpec = FederatedJobSpec['model']['layers'][number];
type ActivationIdentifier = 'linear' | 'relu' | 'sigmoid' | 'tanh' | 'softmax';

const ACTIVATIONS: Readonly<Record<LayerSpec['activation'], ActivationIdentifier>> = {
  Linear: 'linear',
  Relu: 'relu',
  Sigmoid: 'sigmoid',
  Tanh: 'tanh',
  Softmax: 'softmax',
};

/**
 * The network of a job on the backend of this thread, up to the logits: the activation of the last layer belongs to
 * the task and is part of its loss (domain/losses). Holds tensors until {@link dispose}.
 */
export class DenseNetwork {
  /** Inputs a row. */
  readonly width: number;
  /** Logits a row. */
  readonly outputs: number;
  /** Trainable tensors in the order of the layout. */
  readonly variables: readonly Variable[];
  readonly #model: Sequential;
  readonly #layout: Layout;

  /** Throws TRAINING_FAILED where the layout belongs to another network. */
  constructor(specs: readonly LayerSpec[], layout: Layout, width: number) {
    this.width = width;
    this.#layout = layout;
    this.#model = sequential();
    for (const [index, spec] of specs.entries()) {
      this.#model.add(
        layers.dense({
          units: spec.units,
          activation: index === specs.length - 1 ? 'linear' : ACTIVATIONS[spec.activation],
          kernelInitializer: 'zeros',
          ...(index === 0 ? { inputShape: [width] } : {}),
        }),
      );
    }
    this.outputs = specs.at(-1)?.units ?? 0;
    this.variables = this.#model.trainableWeights
      .map((weight) => weight.read())
      .filter((value) => value instanceof Variable);
    this.#requireLayout();
  }

  /** Logits of `inputs` (rows x width), rows x outputs. `training`: layers may behave differently while they learn. */
  logits(inputs: Tensor2D, training: boolean): Tensor2D {
    return this.#model.apply(inputs, { training }) as Tensor2D;
  }

  /** Takes over `weights` (layout.length values), copying them to the backend. */
  load(weights: Float32Array): void {
    tidy(() => {
      this.#eachTensor(weights, (variable, values) => {
        variable.assign(tensor(values, variable.shape));
      });
    });
  }

  /** Replaces each weight of `base` by the network's value minus it: the delta of the training, made in place. */
  toDelta(base: Float32Array): void {
    this.#eachTensor(base, (variable, values) => {
      const trained: ArrayLike<number> = variable.dataSync();
      for (let index = 0; index < values.length; index += 1)
        values[index] = (trained[index] ?? Number.NaN) - (values[index] ?? 0);
    });
  }

  dispose(): void {
    this.#model.dispose();
  }

  /** Calls `visit` for each variable with its part of `vector`. */
  #eachTensor(vector: Float32Array, visit: (variable: Variable, values: Float32Array) => void): void {
    for (const [index, variable] of this.variables.entries()) {
      const start = this.#layout.tensors[index]?.offset ?? 0;
      visit(variable, vector.subarray(start, start + variable.size));
    }
  }

  #requireLayout(): void {
    const { tensors } = this.#layout;
    const fits =
      tensors.length === this.variables.length &&
      this.variables.every((variable, index) => sameShape(variable, tensors[index]?.shape));
    if (fits) return;
    this.dispose();
    const expected = this.variables.map((variable) => `[${variable.shape.join(',')}]`).join(' ');
    throw new TributaryError(
      'TRAINING_FAILED',
      `the layout of the job is not that of its model, whose tensors have the shapes ${expected}`,
    );
  }
}

const sameShape = (variable: Tensor, shape: readonly number[] | undefined): boolean =>
  shape?.length === variable.shape.length && shape.every((size, axis) => size === variable.shape[axis]);
