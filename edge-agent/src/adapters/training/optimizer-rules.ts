import { abs, add, div, maximum, mul, sqrt, square, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import type { OptimizerSpec } from '@tributary/proto';

/** One variable in one step. Rules run inside a tidy and assign what they change. */
export interface RuleInput {
  readonly variable: Variable;
  readonly gradient: Tensor;
  /** State of the variable, as many as the rule has slots. */
  readonly slots: readonly Variable[];
  readonly rate: number;
  /** Steps taken before this one. */
  readonly steps: number;
}

/** How one kind of optimizer changes a variable. */
export interface OptimizerRule {
  /** What each slot holds in every element before the first step. */
  readonly slots: readonly number[];
  readonly apply: (input: RuleInput) => void;
}

const EPSILON = 1e-7;
/** Decays of the moments of Adam and Adamax. */
const BETA = { first: 0.9, second: 0.999 };
const ADADELTA_DECAY = 0.95;
const ADAGRAD_START = 0.1;

/** Running mean: old * decay + value * (1 - decay). */
const blend = (old: Tensor, value: Tensor, decay: number): Tensor =>
  add(mul(old, decay), mul(value, 1 - decay));

/** variable + update. */
function move(variable: Variable, update: Tensor): void {
  variable.assign(add(update, variable));
}

/**
 * Gives 1 - beta^(steps + 1) as float32 arithmetic has it, one product a step: a resumed training gets the same bits.
 * Remembers where it was, since it is asked in order.
 */
function biasCorrection(beta: number): (steps: number) => number {
  const factor = Math.fround(beta);
  let [done, power] = [0, factor];
  return (steps) => {
    if (steps < done) [done, power] = [0, factor];
    for (; done < steps; done += 1) power = Math.fround(power * factor);
    return Math.fround(1 - power);
  };
}

const slot = (slots: readonly Variable[], index: number): Variable => {
  const found = slots[index];
  if (found === undefined) throw new RangeError('an optimizer lacks a slot');
  return found;
};

const sgd: OptimizerRule = {
  slots: [],
  apply: ({ variable, gradient, rate }) => {
    move(variable, mul(-rate, gradient));
  },
};

/** Polyak's heavy ball: m = momentum m + g; w -= rate m. */
const momentum = (kept: number): OptimizerRule => ({
  slots: [0],
  apply: ({ variable, gradient, slots, rate }) => {
    const velocity = slot(slots, 0);
    const next = add(mul(kept, velocity), gradient);
    velocity.assign(next);
    move(variable, mul(-rate, next));
  },
});

function adam(): OptimizerRule {
  const [ofFirst, ofSecond] = [biasCorrection(BETA.first), biasCorrection(BETA.second)];
  return {
    slots: [0, 0],
    apply: ({ variable, gradient, slots, rate, steps }) => {
      const first = blend(slot(slots, 0), gradient, BETA.first);
      const second = blend(slot(slots, 1), square(gradient), BETA.second);
      slot(slots, 0).assign(first);
      slot(slots, 1).assign(second);
      const mean = div(first, ofFirst(steps));
      const deviation = sqrt(div(second, ofSecond(steps)));
      move(variable, mul(div(mean, add(deviation, EPSILON)), -rate));
    },
  };
}

/** s = decay s + (1 - decay) g^2; w -= rate g / sqrt(s + epsilon). */
const rmsProp = (decay: number): OptimizerRule => ({
  slots: [0],
  apply: ({ variable, gradient, slots, rate }) => {
    const mean = blend(slot(slots, 0), square(gradient), decay);
    slot(slots, 0).assign(mean);
    move(variable, mul(div(gradient, sqrt(add(mean, EPSILON))), -rate));
  },
});

/** s += g^2; w -= rate g / sqrt(s + epsilon). */
const adagrad: OptimizerRule = {
  slots: [ADAGRAD_START],
  apply: ({ variable, gradient, slots, rate }) => {
    const sum = add(slot(slots, 0), square(gradient));
    slot(slots, 0).assign(sum);
    move(variable, mul(div(gradient, sqrt(add(sum, EPSILON))), -rate));
  },
};

/** Zeiler's algorithm 1 times the learning rate; TensorFlow.js' own divides by the mean of the step before. */
const adadelta: OptimizerRule = {
  slots: [0, 0],
  apply: ({ variable, gradient, slots, rate }) => {
    const gradients = blend(slot(slots, 0), square(gradient), ADADELTA_DECAY);
    const updates = slot(slots, 1);
    const update = mul(div(sqrt(add(updates, EPSILON)), sqrt(add(gradients, EPSILON))), gradient);
    slot(slots, 0).assign(gradients);
    updates.assign(blend(updates, square(update), ADADELTA_DECAY));
    move(variable, mul(update, -rate));
  },
};

function adamax(): OptimizerRule {
  const ofFirst = biasCorrection(BETA.first);
  return {
    slots: [0, 0],
    apply: ({ variable, gradient, slots, rate, steps }) => {
      const first = blend(slot(slots, 0), gradient, BETA.first);
      const norm = maximum(mul(slot(slots, 1), BETA.second), abs(gradient));
      slot(slots, 0).assign(first);
      slot(slots, 1).assign(norm);
      move(variable, mul(div(first, add(norm, EPSILON)), -rate / ofFirst(steps)));
    },
  };
}

/** The rule of one optimizer instance; each kind names its paper in the contract's training-spec. */
export function ruleOf(spec: OptimizerSpec): OptimizerRule {
  switch (spec.type) {
    case 'Sgd':
      return sgd;
    case 'Momentum':
      return momentum(spec.momentum);
    case 'Adam':
      return adam();
    case 'RmsProp':
      return rmsProp(spec.decay);
    case 'Adagrad':
      return adagrad;
    case 'Adadelta':
      return adadelta;
    case 'Adamax':
      return adamax();
  }
}
