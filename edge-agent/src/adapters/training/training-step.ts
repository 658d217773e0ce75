import {
  add,
  customGrad,
  mul,
  scalar,
  tensor2d,
  tidy,
  variableGrads,
  type NamedTensorMap,
  type Tensor2D,
} from '@tensorflow/tfjs-core';
import type { FederatedJobSpec } from '@tributary/proto';

import { lossOf, type Loss } from '../../domain/losses/loss.js';
import type { Network } from './network.js';
import { Optimizer } from './optimizer.js';

/** One gradient step after another on a network: mean loss of the batch plus l2 times the squared kernels. */
export class TrainingStep {
  readonly network: Network;
  /** The loss of the job without its class weights: what rows are judged by. */
  readonly loss: Loss;
  readonly #weighted: Loss;
  readonly #optimizer: Optimizer;
  readonly #rate: number;
  readonly #l2: number;

  constructor(network: Network, { task, training }: Pick<FederatedJobSpec, 'task' | 'training'>) {
    this.network = network;
    this.loss = lossOf({ task: task.type, name: training.loss });
    this.#weighted = lossOf({
      task: task.type,
      name: training.loss,
      classWeights: training.classWeights,
    });
    this.#l2 = training.l2;
    this.#rate = training.optimizer.learningRate;
    this.#optimizer = new Optimizer(training.optimizer, network.trainable);
  }

  /**
   * Changes the network by one step on the rows of `inputs` (rows x width, row-major) and returns the sum of their
   * weighted losses before it, without the penalty. `rate` is that of the job where absent. After a sum that is not
   * finite the network is of no use.
   */
  run(inputs: Float32Array, labels: Float32Array, rate = this.#rate): number {
    return tidy(() => {
      const gradients = this.gradients(inputs, labels);
      this.#optimizer.apply(gradients.byVariable, rate);
      return gradients.loss;
    });
  }

  /** Gradients of what {@link run} minimises, by variable; the caller disposes of them. */
  gradients(
    inputs: Float32Array,
    labels: Float32Array,
  ): { readonly loss: number; readonly byVariable: NamedTensorMap } {
    const network = this.network;
    let sum = Number.NaN;
    // The loss is computed outside the backend, in double precision; its derivative enters the tape as a constant.
    const lossOfLogits = customGrad((...[logits]: readonly unknown[]) => {
      const values = logits as Tensor2D;
      const gradient = new Float32Array(values.size);
      const input = { logits: values.dataSync<'float32'>(), labels, outputs: network.outputs };
      sum = this.#weighted(input, gradient);
      return {
        value: scalar(sum / labels.length),
        gradFunc: () => tensor2d(gradient, values.shape),
      };
    });
    const rows = tensor2d(inputs, [labels.length, network.width]);
    const { value, grads } = variableGrads(
      () => lossOfLogits(network.logits(rows, true)),
      [...network.trainable],
    );
    rows.dispose();
    value.dispose();
    return { loss: sum, byVariable: this.#penalised(grads) };
  }

  /** A copy of the state of the optimizer. */
  optimizerState(): Float32Array {
    return this.#optimizer.state();
  }

  /** Takes over a state of the optimizer after `steps` steps; throws STORE_CORRUPT where it is that of another. */
  restoreOptimizer(state: Float32Array, steps: number): void {
    this.#optimizer.restore(state, steps);
  }

  dispose(): void {
    this.#optimizer.dispose();
  }

  /** Adds the derivative of l2 * sum(w^2) for kernels; biases, scales and statistics are not penalised. */
  #penalised(gradients: NamedTensorMap): NamedTensorMap {
    if (this.#l2 === 0) return gradients;
    return Object.fromEntries(
      this.network.trainable.map((variable) => {
        const gradient = gradients[variable.name] ?? scalar(0);
        if (!this.network.decayed.includes(variable)) return [variable.name, gradient];
        const penalised = tidy(() => add(gradient, mul(variable, 2 * this.#l2)));
        gradient.dispose();
        return [variable.name, penalised];
      }),
    );
  }
}
