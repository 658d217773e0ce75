import { tensorView } from '../parameters/layout.js';
import type { LayerTensor } from './layers/layer-kind.js';
import type { LayerSpec } from './layers/layer-schema.js';
import { orthogonalRows } from './orthogonal.js';
import { publicRandom, type PublicRandom } from './public-random.js';
import { elementsOf, type Shape } from './shape.js';
import { layoutOf, modelTensors } from './topology.js';

/** Half the width of the uniform start of embeddings: the default of Keras. */
const SMALL = 0.05;

/**
 * Initial weights of a network on rows of shape `input`, layoutOf(layers, input).length float32 values. Kernels are
 * Glorot uniform (Glorot and Bengio, AISTATS 2010): in [-l, l) with l = sqrt(6 / (inputs + outputs)), where a
 * convolution counts each point of its kernel; recurrent kernels are orthogonal (Saxe et al., ICLR 2014); embeddings
 * are uniform in [-0.05, 0.05); the bias of a forget gate (Jozefowicz et al., ICML 2015), scales and moving variances
 * are 1, all others 0. Elements take the values of publicRandom(seed) in the order of the layout, and only
 * + - * / and sqrt are used, so every party gets the same bits.
 */
export function initialWeights(layers: readonly LayerSpec[], input: Shape, seed: number): Float32Array {
  const layout = layoutOf(layers, input);
  const weights = new Float32Array(layout.length);
  const random = publicRandom(seed);
  for (const [index, tensor] of modelTensors(layers, input).entries()) {
    const place = layout.tensors[index];
    if (place !== undefined) fill(tensorView(weights, place), tensor, random);
  }
  return weights;
}

function fill(values: Float32Array, { initial, shape }: LayerTensor, random: PublicRandom): void {
  switch (initial) {
    case 'Zeros':
      return;
    case 'Ones':
      values.fill(1);
      return;
    case 'GlorotUniform':
      return fillUniform(values, glorotLimit(shape), random);
    case 'SmallUniform':
      return fillUniform(values, SMALL, random);
    case 'Orthogonal':
      return orthogonalRows(values, shape[0] ?? 1, random);
    case 'ForgetGate':
      values.fill(1, values.length / 4, values.length / 2);
      return;
  }
}

function fillUniform(values: Float32Array, limit: number, random: PublicRandom): void {
  for (let index = 0; index < values.length; index += 1) values[index] = (2 * random.nextUnit() - 1) * limit;
}

/** The last two axes are inputs and outputs; those before them are points of a kernel. */
function glorotLimit(shape: Shape): number {
  const points = elementsOf(shape.slice(0, -2));
  const [inputs = 1, outputs = 1] = shape.slice(-2);
  return Math.sqrt(6 / (points * inputs + points * outputs));
}
