import { reshape, Variable, type Tensor, type Tensor2D } from '@tensorflow/tfjs-core';
import { sequential, type Sequential } from '@tensorflow/tfjs-layers';
import {
  elementsOf,
  modelTensors,
  TributaryError,
  type LayerSpec,
  type Layout,
  type Shape,
} from '@tributary/proto';

import { seededRandom } from '../../domain/datasets/seeded-random.js';
import { replaceValues, valuesOf } from './kernels/heap-values.js';
import { networkLayers } from './network-layers.js';
import type { DropoutSource } from './seeded-dropout.js';

/**
 * The network of a job on the backend of this thread, up to the logits: the activation of the last layer belongs to
 * the task and is part of its loss (domain/losses). Holds tensors until {@link dispose}.
 */
export class Network {
  /** Inputs a row: the elements of its shape. */
  readonly width: number;
  /** Logits a row. */
  readonly outputs: number;
  /** Every tensor in the order of the layout. Those that are not trainable change with each pass in training. */
  readonly variables: readonly Variable[];
  /** Those of {@link variables} that have gradients, in the same order. */
  readonly trainable: readonly Variable[];
  /** Those of {@link trainable} whose squares training.l2 counts. */
  readonly decayed: readonly Variable[];
  readonly #input: Shape;
  readonly #model: Sequential;
  readonly #layout: Layout;
  readonly #dropout: DropoutSource = { next: seededRandom(0) };

  /** `input` is the shape of a row. Throws TRAINING_FAILED where the layout belongs to another network. */
  constructor(specs: readonly LayerSpec[], layout: Layout, input: Shape) {
    this.#input = input;
    this.width = elementsOf(input);
    this.#layout = layout;
    this.#model = sequential();
    for (const layer of networkLayers(specs, input, this.#dropout)) this.#model.add(layer);
    this.outputs = Number(this.#model.outputs[0]?.shape.at(-1));
    this.variables = this.#model.layers
      .flatMap((layer) => layer.weights)
      .map((weight) => weight.read())
      .filter((value) => value instanceof Variable);
    this.#requireLayout();
    const tensors = modelTensors(specs, input);
    this.trainable = this.variables.filter((_, index) => tensors[index]?.trainable);
    this.decayed = this.variables.filter((_, index) => tensors[index]?.decayed);
  }

  /**
   * Begins the stream from which dropout draws: the same seeds and the same passes in training give the same masks, on
   * every backend. Without it every network begins alike.
   */
  seedDropout(...seeds: readonly number[]): void {
    this.#dropout.next = seededRandom(...seeds);
  }

  /**
   * Logits of `inputs` (rows x width), rows x outputs. `training`: dropout is at work, and batch normalization uses the
   * batch and moves its statistics.
   */
  logits(inputs: Tensor2D, training: boolean): Tensor2D {
    const apply = (rows: Tensor): Tensor2D => this.#model.apply(rows, { training }) as Tensor2D;
    return this.#input.length === 1
      ? apply(inputs)
      : apply(reshape(inputs, [inputs.shape[0], ...this.#input]));
  }

  /** Takes over `weights` (layout.length values), copying them to the backend. */
  load(weights: Float32Array): void {
    this.#eachTensor(weights, replaceValues);
  }

  /** A copy of all tensors in the order of the layout, in `into` (layout.length values). */
  read(into = new Float32Array(this.#layout.length)): Float32Array {
    this.#eachTensor(into, (variable, values) => {
      values.set(valuesOf(variable));
    });
    return into;
  }

  /** Replaces each weight of `base` by the network's value minus it: the delta of the training, made in place. */
  toDelta(base: Float32Array): void {
    this.#eachTensor(base, (variable, values) => {
      const trained = valuesOf(variable);
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
