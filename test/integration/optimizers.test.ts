import assert from 'node:assert/strict';

import {
  dispose,
  memory,
  tensor1d,
  tidy,
  train,
  variable as makeVariable,
  type Optimizer as LibraryOptimizer,
  type Variable,
} from '@tensorflow/tfjs-core';
import type { OptimizerSpec } from '@tributary/proto';
import { startBackend } from '@tributary/edge-agent/internal/adapters/training/backend.js';
import { Optimizer } from '@tributary/edge-agent/internal/adapters/training/optimizer.js';

import { refusal } from '../support/refusal.js';
import { SeededRandom } from '../support/seeded-random.js';

const SPECS = [
  { type: 'Sgd', learningRate: 0.1 },
  { type: 'Momentum', learningRate: 0.1, momentum: 0.8 },
  { type: 'Adam', learningRate: 0.01 },
  { type: 'RmsProp', learningRate: 0.01, decay: 0.8 },
  { type: 'Adagrad', learningRate: 0.1 },
  { type: 'Adadelta', learningRate: 1 },
  { type: 'Adamax', learningRate: 0.02 },
] as const satisfies readonly OptimizerSpec[];

/** Optimizers of TensorFlow.js that ours must equal bit by bit: jobs have been trained with them. */
const LIBRARY: Readonly<Partial<Record<OptimizerSpec['type'], () => LibraryOptimizer>>> = {
  Sgd: () => train.sgd(0.1),
  Momentum: () => train.momentum(0.1, 0.8),
  Adam: () => train.adam(0.01, 0.9, 0.999, 1e-7),
  Adagrad: () => train.adagrad(0.1),
};

const SIZE = 9;
const STEPS = 40;
const random = new SeededRandom(8);
const values = (): Float32Array => Float32Array.from({ length: SIZE }, () => random.uint32() / 2 ** 31 - 1);
const start = values();
const gradients = Array.from({ length: STEPS }, values);

type Rule = (gradient: number, slots: number[], step: number, rate: number) => number;

/** What is subtracted from a weight, by the formulas of the papers in double precision. */
const FORMULAS: Readonly<Record<OptimizerSpec['type'], Rule>> = {
  Sgd: (g, _slots, _step, rate) => rate * g,
  Momentum: (g, slots, _step, rate) => rate * (slots[0] = 0.8 * (slots[0] ?? 0) + g),
  Adam: (g, slots, step, rate) => {
    const m = (slots[0] = 0.9 * (slots[0] ?? 0) + 0.1 * g);
    const v = (slots[1] = 0.999 * (slots[1] ?? 0) + 0.001 * g * g);
    return (rate * (m / (1 - 0.9 ** step))) / (Math.sqrt(v / (1 - 0.999 ** step)) + 1e-7);
  },
  RmsProp: (g, slots, _step, rate) =>
    (rate * g) / Math.sqrt((slots[0] = 0.8 * (slots[0] ?? 0) + 0.2 * g * g) + 1e-7),
  Adagrad: (g, slots, _step, rate) => (rate * g) / Math.sqrt((slots[0] = (slots[0] ?? 0.1) + g * g) + 1e-7),
  Adadelta: (g, slots, _step, rate) => {
    const squares = (slots[0] = 0.95 * (slots[0] ?? 0) + 0.05 * g * g);
    const update = (Math.sqrt((slots[1] ?? 0) + 1e-7) / Math.sqrt(squares + 1e-7)) * g;
    slots[1] = 0.95 * (slots[1] ?? 0) + 0.05 * update * update;
    return rate * update;
  },
  Adamax: (g, slots, step, rate) => {
    const m = (slots[0] = 0.9 * (slots[0] ?? 0) + 0.1 * g);
    const norm = (slots[1] = Math.max(0.999 * (slots[1] ?? 0), Math.abs(g)));
    return ((rate / (1 - 0.9 ** step)) * m) / (norm + 1e-7);
  },
};

describe('optimizers', () => {
  before(() => startBackend('wasm'));

  const weight = (from = start): Variable => tidy(() => makeVariable(tensor1d(from.slice()), true));
  const stepOn = (
    variable: Variable,
    apply: (byName: Record<string, ReturnType<typeof tensor1d>>) => void,
    at: number,
  ) => {
    const gradient = tensor1d(gradients[at] ?? new Float32Array(SIZE));
    apply({ [variable.name]: gradient });
    gradient.dispose();
  };
  const bits = (variable: Variable): Buffer => Buffer.from(Float32Array.from(variable.dataSync()).buffer);

  for (const spec of SPECS) {
    const library = LIBRARY[spec.type];
    if (library !== undefined) {
      it(`${spec.type}: gives the bits of TensorFlow.js`, () => {
        const [ours, theirs] = [weight(), weight()];
        const [optimizer, other] = [new Optimizer(spec, [ours]), library()];
        for (let at = 0; at < STEPS; at += 1) {
          stepOn(ours, (byName) => optimizer.apply(byName, spec.learningRate), at);
          stepOn(theirs, (byName) => other.applyGradients(byName), at);
          assert.deepEqual(bits(ours), bits(theirs), `step ${String(at + 1)}`);
        }
        optimizer.dispose();
        other.dispose();
        dispose([ours, theirs]);
      });
    }

    it(`${spec.type}: is its paper's update, with a rate that changes, and leaves no tensor`, () => {
      const before = memory().numTensors;
      const variable = weight();
      const optimizer = new Optimizer(spec, [variable]);
      const expected = Float64Array.from(start);
      const slots = Array.from(expected, (): number[] => []);
      for (let at = 0; at < STEPS; at += 1) {
        const rate = spec.learningRate / (1 + at);
        stepOn(variable, (byName) => optimizer.apply(byName, rate), at);
        for (const [index, value] of expected.entries()) {
          const gradient = gradients[at]?.[index] ?? 0;
          expected[index] = value - FORMULAS[spec.type](gradient, slots[index] ?? [], at + 1, rate);
        }
      }
      for (const [index, value] of variable.dataSync().entries())
        assert.ok(
          Math.abs(value - (expected[index] ?? 0)) < 2e-5,
          `${String(value)} ${String(expected[index])}`,
        );
      optimizer.dispose();
      variable.dispose();
      assert.equal(memory().numTensors, before);
    });

    it(`${spec.type}: goes on from a state with the same bits`, () => {
      const variable = weight();
      const optimizer = new Optimizer(spec, [variable]);
      for (let at = 0; at < 20; at += 1) stepOn(variable, (byName) => optimizer.apply(byName, 0.1), at);
      const other = weight(Float32Array.from(variable.dataSync()));
      const resumed = new Optimizer(spec, [other]);
      resumed.restore(optimizer.state(), optimizer.steps);
      for (let at = 20; at < STEPS; at += 1) {
        stepOn(variable, (byName) => optimizer.apply(byName, 0.1), at);
        stepOn(other, (byName) => resumed.apply(byName, 0.1), at);
      }
      assert.deepEqual(bits(other), bits(variable));
      assert.deepEqual(resumed.state(), optimizer.state());
      assert.throws(
        () => resumed.restore(new Float32Array(1), 0),
        refusal('STORE_CORRUPT', /another optimizer/),
      );
      optimizer.dispose();
      resumed.dispose();
      dispose([variable, other]);
    });
  }
});
