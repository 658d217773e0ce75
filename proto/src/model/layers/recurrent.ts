import { z } from 'zod';

import { KERAS_ACTIVATIONS, type KerasConfig } from '../keras-config.js';
import { rankProblem } from '../shape.js';
import { biasField, unitsField } from './fields.js';
import { bias, kernel, type LayerKind, type LayerTensor } from './layer-kind.js';

/** Recurrent activations of Keras 2 and 3, and of TensorFlow.js. */
const GATES = { Sigmoid: 'sigmoid', HardSigmoid: 'hard_sigmoid' } as const;

const fields = {
  units: unitsField,
  returnSequences: z
    .boolean()
    .default(false)
    .describe('Whether the output is that of every step, [length, units], or of the last only, [units].'),
  bias: biasField,
};
const gateField = z
  .enum(['Sigmoid', 'HardSigmoid'])
  .default('Sigmoid')
  .describe('Function of the gates. HardSigmoid is 0.2 x + 0.5 between 0 and 1.');

export const simpleRnnSchema = z.strictObject({ type: z.literal('SimpleRnn'), ...fields });
export const lstmSchema = z.strictObject({
  type: z.literal('Lstm'),
  ...fields,
  recurrentActivation: gateField,
});
export const gruSchema = z.strictObject({
  type: z.literal('Gru'),
  ...fields,
  recurrentActivation: gateField,
});

type Recurrent = z.output<z.ZodObject<typeof fields>>;

/** Most units of a recurrent layer: its orthogonal start takes 4 units^3 multiplications. */
const MOST_UNITS = 1_024;

interface Cell<S> {
  readonly className: string;
  /** Blocks of `units` columns side by side in each kernel. */
  readonly gates: number;
  readonly tensors?: (tensor: LayerTensor) => LayerTensor;
  readonly toKeras: (spec: S) => Readonly<Record<string, string | boolean>>;
  readonly fromKeras: (config: KerasConfig) => Omit<S, keyof Recurrent>;
}

function recurrent<S extends Recurrent & { readonly type: string }>(cell: Cell<S>): LayerKind<S> {
  return {
    className: cell.className,
    output({ type, units, returnSequences }, input) {
      const fault = rankProblem(type, 2, input);
      if (fault !== undefined) return fault;
      if (units > MOST_UNITS)
        return { path: ['units'], what: `must be at most ${String(MOST_UNITS)} here`, fix: 'lower it' };
      return returnSequences ? [input[0] ?? 1, units] : [units];
    },
    tensors({ units, bias: wanted }, input) {
      const columns = cell.gates * units;
      const start = cell.className === 'LSTM' ? 'ForgetGate' : 'Zeros';
      return [
        kernel('kernel', [input[1] ?? 1, columns]),
        { ...kernel('recurrent_kernel', [units, columns]), initial: 'Orthogonal' },
        ...(wanted === false ? [] : [bias(columns, start)]),
      ];
    },
    toKeras: (spec) => ({
      units: spec.units,
      activation: KERAS_ACTIVATIONS.Tanh,
      use_bias: spec.bias ?? true,
      return_sequences: spec.returnSequences,
      ...cell.toKeras(spec),
    }),
    fromKeras(config) {
      config.require({
        activation: KERAS_ACTIVATIONS.Tanh,
        dropout: 0,
        recurrent_dropout: 0,
        go_backwards: false,
        stateful: false,
        return_state: false,
        time_major: false,
      });
      config.requireAbsent('recurrent_regularizer', 'recurrent_constraint');
      const shared: Recurrent = {
        units: config.number('units'),
        returnSequences: config.flag('return_sequences', false),
        ...(!config.flag('use_bias', true) && { bias: false }),
      };
      return { ...shared, ...cell.fromKeras(config) } as S;
    },
  };
}

/** h = tanh(x kernel + h recurrent_kernel + bias) (Elman, Cognitive Science 14, 1990). */
export const simpleRnn = recurrent<z.output<typeof simpleRnnSchema>>({
  className: 'SimpleRNN',
  gates: 1,
  toKeras: () => ({}),
  fromKeras: () => ({ type: 'SimpleRnn' }),
});

/** Gates: input, forget, cell, output (Hochreiter and Schmidhuber, 1997); the forget gate's bias begins at 1. */
export const lstm = recurrent<z.output<typeof lstmSchema>>({
  className: 'LSTM',
  gates: 4,
  toKeras: ({ recurrentActivation }) => ({
    recurrent_activation: GATES[recurrentActivation],
    unit_forget_bias: true,
  }),
  fromKeras: (config) => ({
    type: 'Lstm',
    recurrentActivation: config.choice('recurrent_activation', GATES, 'Sigmoid'),
  }),
});

/** Gates: update, reset, candidate (Cho et al., EMNLP 2014), the reset before the product, as TensorFlow.js has it. */
export const gru = recurrent<z.output<typeof gruSchema>>({
  className: 'GRU',
  gates: 3,
  toKeras: ({ recurrentActivation }) => ({
    recurrent_activation: GATES[recurrentActivation],
    reset_after: false,
  }),
  fromKeras(config) {
    config.require({ reset_after: false });
    return { type: 'Gru', recurrentActivation: config.choice('recurrent_activation', GATES, 'Sigmoid') };
  },
});
