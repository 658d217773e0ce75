import {
  add,
  customGrad,
  mul,
  scalar,
  Tensor,
  tensor2d,
  tidy,
  train,
  variableGrads,
  type NamedTensorMap,
  type Optimizer,
  type Tensor2D,
} from '@tensorflow/tfjs-core';
import type { FederatedJobSpec } from '@tributary/proto';

import { LOSSES, type Loss } from '../../domain/losses/loss.js';
import type { DenseNetwork } from './dense-network.js';

type TrainingSpec = FederatedJobSpec['training'];

/** Moment decays and epsilon of Adam, fixed by the contract (Kingma & Ba, ICLR 2015). */
const ADAM = { beta1: 0.9, beta2: 0.999, epsilon: 1e-7 };

function makeOptimizer(spec: TrainingSpec['optimizer']): Optimizer {
  switch (spec.type) {
    case 'Sgd':
      return train.sgd(spec.learningRate);
    case 'Momentum':
      return train.momentum(spec.learningRate, spec.momentum);
    case 'Adam':
      return train.adam(spec.learningRate, ADAM.beta1, ADAM.beta2, ADAM.epsilon);
  }
}

/** One gradient step after another on a network: mean loss of the batch plus l2 times the squared kernels. */
export class TrainingStep {
  readonly #optimizer: Optimizer;
  readonly #loss: Loss;
  readonly #network: DenseNetwork;
  readonly #l2: number;

  constructor(network: DenseNetwork, spec: Pick<FederatedJobSpec, 'task' | 'training'>) {
    this.#network = network;
    this.#l2 = spec.training.l2;
    this.#optimizer = makeOptimizer(spec.training.optimizer);
    this.#loss = LOSSES[spec.task.type];
  }

  /**
   * Changes the network by one step on the rows of `inputs` (rows x width, row-major) and returns the sum of their
   * losses before it, without the penalty. After a sum that is not finite the network is of no use.
   */
  run(inputs: Float32Array, labels: Float32Array): number {
    return tidy(() => {
      const gradients = this.gradients(inputs, labels);
      this.#optimizer.applyGradients(gradients.byVariable);
      return gradients.loss;
    });
  }

  /** Gradients of what {@link run} minimises, by variable; the caller disposes of them. */
  gradients(
    inputs: Float32Array,
    labels: Float32Array,
  ): { readonly loss: number; readonly byVariable: NamedTensorMap } {
    const network = this.#network;
    let sum = Number.NaN;
    // The loss is computed outside the backend, in double precision; its derivative enters the tape as a constant.
    const lossOf = customGrad((...[logits]: readonly unknown[]) => {
      const values = logits as Tensor2D;
      const gradient = new Float32Array(values.size);
      sum = this.#loss({ logits: values.dataSync<'float32'>(), labels, outputs: network.outputs }, gradient);
      return {
        value: scalar(sum / labels.length),
        gradFunc: () => tensor2d(gradient, values.shape),
      };
    });
    const rows = tensor2d(inputs, [labels.length, network.width]);
    const { value, grads } = variableGrads(() => lossOf(network.logits(rows, true)), [...network.variables]);
    rows.dispose();
    value.dispose();
    return { loss: sum, byVariable: this.#penalised(grads) };
  }

  dispose(): void {
    this.#optimizer.dispose();
    // The momentum optimizer of TensorFlow.js forgets the learning rate that it inherits from plain SGD.
    const rate: unknown = Reflect.get(this.#optimizer, 'c');
    if (rate instanceof Tensor && !rate.isDisposed) rate.dispose();
  }

  /** Adds the derivative of l2 * sum(w^2) for kernels; biases, which have one axis, are not penalised. */
  #penalised(gradients: NamedTensorMap): NamedTensorMap {
    if (this.#l2 === 0) return gradients;
    return Object.fromEntries(
      this.#network.variables.map((variable) => {
        const gradient = gradients[variable.name] ?? scalar(0);
        if (variable.rank < 2) return [variable.name, gradient];
        const penalised = tidy(() => add(gradient, mul(variable, 2 * this.#l2)));
        gradient.dispose();
        return [variable.name, penalised];
      }),
    );
  }
}
