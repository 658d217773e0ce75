import { mul, tensor, tidy, type Tensor } from '@tensorflow/tfjs-core';
import { layers } from '@tensorflow/tfjs-layers';

/** Where the dropout layers of a network draw from, in the order in which a forward pass meets them; [0, 1). */
export interface DropoutSource {
  next: () => number;
}

/**
 * Dropout whose masks come from a stream of the caller: the layer of TensorFlow.js draws either a mask that cannot be
 * repeated or, with a seed, the same one in every step. Masks do not depend on the backend.
 */
export class SeededDropout extends layers.Layer {
  static readonly className = 'Dropout';
  readonly #rate: number;
  readonly #source: DropoutSource;

  constructor(
    config: { readonly name: string; readonly rate: number; inputShape?: number[] },
    source: DropoutSource,
  ) {
    const { name, inputShape } = config;
    super({ name, ...(inputShape && { inputShape }) });
    this.#rate = config.rate;
    this.#source = source;
  }

  override call(inputs: Tensor | Tensor[], options: { readonly training?: boolean }): Tensor {
    const [values] = Array.isArray(inputs) ? inputs : [inputs];
    if (values === undefined) throw new TypeError('dropout has one input');
    if (options.training !== true || this.#rate === 0) return tidy(() => values.clone());
    return tidy(() => mul(values, tensor(this.#mask(values.size), values.shape)));
  }

  override computeOutputShape(inputShape: (number | null)[]): (number | null)[] {
    return inputShape;
  }

  #mask(size: number): Float32Array {
    const mask = new Float32Array(size);
    const kept = 1 / (1 - this.#rate);
    for (let index = 0; index < size; index += 1) mask[index] = this.#source.next() < this.#rate ? 0 : kept;
    return mask;
  }
}
