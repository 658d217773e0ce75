import {
  fill,
  keep,
  tensor,
  tidy,
  variable as makeVariable,
  type NamedTensorMap,
  type Variable,
} from '@tensorflow/tfjs-core';
import { TributaryError, type OptimizerSpec } from '@tributary/proto';

import { ruleOf, type OptimizerRule } from './optimizer-rules.js';

/**
 * Changes variables by their gradients. Unlike the optimizers of TensorFlow.js it takes another learning rate with every
 * step, and its whole state can be read and put back, so that a resumed training gives the bits of one that was never
 * interrupted. Sgd, Momentum and Adam compute what those of TensorFlow.js do, bit by bit.
 */
export class Optimizer {
  readonly #rule: OptimizerRule;
  readonly #variables: readonly Variable[];
  /** Slots of each variable. */
  readonly #slots: readonly (readonly Variable[])[];
  #steps = 0;

  constructor(spec: OptimizerSpec, variables: readonly Variable[]) {
    this.#rule = ruleOf(spec);
    this.#variables = variables;
    this.#slots = variables.map(({ shape }) =>
      this.#rule.slots.map((start) => tidy(() => keep(makeVariable(fill(shape, start), false)))),
    );
  }

  /** Elements that {@link state} takes. */
  get stateLength(): number {
    return this.#slots.flat().reduce((sum, { size }) => sum + size, 0);
  }

  /** Steps taken since the state was that of a new optimizer. */
  get steps(): number {
    return this.#steps;
  }

  apply(gradients: NamedTensorMap, rate: number): void {
    for (const [index, variable] of this.#variables.entries()) {
      const gradient = gradients[variable.name];
      if (gradient === undefined) continue;
      const slots = this.#slots[index] ?? [];
      tidy(() => {
        this.#rule.apply({ variable, gradient, slots, rate, steps: this.#steps });
      });
    }
    this.#steps += 1;
  }

  /** A copy of all slots, variable by variable. */
  state(): Float32Array {
    const values = new Float32Array(this.stateLength);
    let at = 0;
    for (const slot of this.#slots.flat()) {
      values.set(slot.dataSync<'float32'>(), at);
      at += slot.size;
    }
    return values;
  }

  /** Takes over what {@link state} gave after `steps` steps. */
  restore(values: Float32Array, steps: number): void {
    if (values.length !== this.stateLength)
      throw new TributaryError('STORE_CORRUPT', 'the checkpoint is that of another optimizer');
    let at = 0;
    for (const slot of this.#slots.flat()) {
      // A copy: on some backends a tensor keeps the array that it is made from.
      const part = values.slice(at, at + slot.size);
      tidy(() => {
        slot.assign(tensor(part, slot.shape));
      });
      at += slot.size;
    }
    this.#steps = steps;
  }

  dispose(): void {
    for (const slot of this.#slots.flat()) slot.dispose();
  }
}
