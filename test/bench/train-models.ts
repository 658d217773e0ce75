import { layerSchema } from '@tributary/proto/internal/model/layers/layer-schema.js';
import type { LayerSpec, Shape } from '@tributary/proto';

export const BATCH = 32;

/** A product of rows (rows x inputs) with a kernel (inputs x outputs), as a step does it `times` times. */
export interface Product {
  readonly rows: number;
  readonly inputs: number;
  readonly outputs: number;
  readonly times: number;
  /** Whether the step needs the gradient of the rows too: not where they are the model's inputs. */
  readonly back: boolean;
}

export interface TrainModel {
  readonly input: Shape;
  readonly layers: readonly LayerSpec[];
  /** What the model's speed is compared with: the backend `cpu`, or `wasm` without our kernels. */
  readonly baseline: 'cpu' | 'wasm as published';
  readonly products: readonly Product[];
}

const product = (rows: number, inputs: number, outputs: number, back = true, times = 1): Product => ({
  rows: rows * BATCH,
  inputs,
  outputs,
  times,
  back,
});
const dense = (units: number, activation: 'Relu' | 'Linear' = 'Relu'): LayerSpec =>
  layerSchema.parse({ type: 'Dense', units, activation });
const conv = (type: 'Conv1d' | 'Conv2d', filters: number, kernelSize: number): LayerSpec =>
  layerSchema.parse({ type, filters, kernelSize: [kernelSize], padding: 'Same', activation: 'Relu' });
const pool = (type: 'MaxPooling1d' | 'MaxPooling2d'): LayerSpec => layerSchema.parse({ type, poolSize: [2] });

/** The models of the marks. */
export const TRAIN_MODELS = {
  mlp: {
    input: [784],
    layers: [dense(200), dense(200), dense(10, 'Linear')],
    baseline: 'wasm as published',
    products: [product(1, 784, 200, false), product(1, 200, 200), product(1, 200, 10)],
  },
  // McMahan et al., AISTATS 2017, section 3.
  cnn: {
    input: [28, 28, 1],
    layers: [
      conv('Conv2d', 32, 5),
      pool('MaxPooling2d'),
      conv('Conv2d', 64, 5),
      pool('MaxPooling2d'),
      { type: 'Flatten' },
      dense(512),
      dense(10, 'Linear'),
    ],
    baseline: 'cpu',
    products: [
      product(28 * 28, 25, 32, false),
      product(14 * 14, 800, 64),
      product(1, 3136, 512),
      product(1, 512, 10),
    ],
  },
  ecg: {
    input: [256, 1],
    layers: [
      conv('Conv1d', 32, 7),
      pool('MaxPooling1d'),
      conv('Conv1d', 64, 5),
      pool('MaxPooling1d'),
      conv('Conv1d', 64, 3),
      { type: 'GlobalAveragePooling1d' },
      dense(5, 'Linear'),
    ],
    baseline: 'cpu',
    products: [product(256, 7, 32, false), product(128, 160, 64), product(64, 192, 64), product(1, 64, 5)],
  },
  lstm: {
    input: [24, 16],
    layers: [layerSchema.parse({ type: 'Lstm', units: 32 }), dense(2, 'Linear')],
    baseline: 'wasm as published',
    products: [product(1, 16, 128, false, 24), product(1, 32, 128, true, 24), product(1, 32, 2)],
  },
} as const satisfies Readonly<Record<string, TrainModel>>;

export type TrainModelName = keyof typeof TRAIN_MODELS;

/** Floating-point operations of the products of one step: a multiplication and an addition a term. */
export function operationsOf(products: readonly Product[]): number {
  return products.reduce(
    (sum, { rows, inputs, outputs, times, back }) =>
      sum + 2 * rows * inputs * outputs * times * (back ? 3 : 2),
    0,
  );
}
