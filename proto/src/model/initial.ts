import type { LayerSpec } from '../documents/model-spec.js';
import { tensorView } from '../parameters/layout.js';
import { publicRandom } from './public-random.js';
import { layoutOf } from './topology.js';

/**
 * Initial weights of a stack of dense layers, layoutOf(layers, width).length float32 values. Kernels are Glorot uniform
 * (Glorot and Bengio, AISTATS 2010): in [-l, l) with l = sqrt(6 / (inputs + units)); biases are 0. Kernel elements take
 * the values of publicRandom(seed) in the order of the layout, so every party gets the same bits.
 */
export function initialWeights(layers: readonly LayerSpec[], width: number, seed: number): Float32Array {
  const layout = layoutOf(layers, width);
  const weights = new Float32Array(layout.length);
  const random = publicRandom(seed);
  for (const tensor of layout.tensors) {
    const [inputs, units] = tensor.shape;
    if (inputs === undefined || units === undefined) continue; // a bias
    const limit = Math.sqrt(6 / (inputs + units));
    const kernel = tensorView(weights, tensor);
    for (let index = 0; index < kernel.length; index += 1)
      kernel[index] = (2 * random.nextUnit() - 1) * limit;
  }
  return weights;
}
