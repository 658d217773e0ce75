import { z } from 'zod';

import type { KerasConfig } from '../keras-config.js';
import type { Shape } from '../shape.js';
import { epsilonField } from './fields.js';
import type { LayerKind, LayerTensor } from './layer-kind.js';

export const batchNormalizationSchema = z.strictObject({
  type: z.literal('BatchNormalization'),
  momentum: z
    .number()
    .min(0)
    .lt(1)
    .default(0.99)
    .describe('Part of the moving mean and variance that a step keeps, 0 to below 1.'),
  epsilon: epsilonField,
});

export const layerNormalizationSchema = z.strictObject({
  type: z.literal('LayerNormalization'),
  epsilon: epsilonField,
});

const scaleAndShift = (input: Shape): readonly LayerTensor[] => {
  const shape = input.slice(-1);
  return [
    { name: 'gamma', shape, initial: 'Ones', trainable: true, decayed: false },
    { name: 'beta', shape, initial: 'Zeros', trainable: true, decayed: false },
  ];
};

/** Only the last axis is served, as a list or a number, counted from either end. */
function requireLastAxis(config: KerasConfig, rank: number): void {
  for (const axis of config.sizes('axis') ?? [])
    if (axis !== -1 && axis !== rank) throw config.refuse('axis', 'only the last axis is served');
  config.require({ center: true, scale: true });
}

/**
 * Normalises each channel by the batch while it learns, and by moving statistics otherwise (Ioffe and Szegedy, ICML
 * 2015). The statistics are tensors of the layout: the sites' deltas of them are averaged with the weights.
 */
export const batchNormalization: LayerKind<z.output<typeof batchNormalizationSchema>> = {
  className: 'BatchNormalization',
  output: (_, input) => input,
  tensors(_, input) {
    const shape = input.slice(-1);
    return [
      ...scaleAndShift(input),
      { name: 'moving_mean', shape, initial: 'Zeros', trainable: false, decayed: false },
      { name: 'moving_variance', shape, initial: 'Ones', trainable: false, decayed: false },
    ];
  },
  toKeras: ({ momentum, epsilon }) => ({ axis: -1, momentum, epsilon, center: true, scale: true }),
  fromKeras(config, input) {
    requireLastAxis(config, input.length);
    return {
      type: 'BatchNormalization',
      momentum: config.number('momentum', 0.99),
      epsilon: config.number('epsilon', 0.001),
    };
  },
};

/** Normalises each position over its channels (Ba, Kiros and Hinton, arXiv 1607.06450). */
export const layerNormalization: LayerKind<z.output<typeof layerNormalizationSchema>> = {
  className: 'LayerNormalization',
  output: (_, input) => input,
  tensors: (_, input) => scaleAndShift(input),
  toKeras: ({ epsilon }) => ({ axis: -1, epsilon, center: true, scale: true }),
  fromKeras(config, input) {
    requireLastAxis(config, input.length);
    return { type: 'LayerNormalization', epsilon: config.number('epsilon', 0.001) };
  },
};
