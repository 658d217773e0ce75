import { z } from 'zod';

import { rankProblem } from '../shape.js';
import type { LayerKind } from './layer-kind.js';

export const embeddingSchema = z.strictObject({
  type: z.literal('Embedding'),
  inputDim: z.int().min(1).max(10_000_000).describe('Indices that have a vector: 0 to inputDim - 1.'),
  outputDim: z.int().min(1).max(16_384).describe('Length of each vector, 1 to 16384.'),
});

/** A learned vector for each index: [length] becomes [length, outputDim]. */
export const embedding: LayerKind<z.output<typeof embeddingSchema>> = {
  className: 'Embedding',
  output: ({ type, outputDim }, input) => rankProblem(type, 1, input) ?? [...input, outputDim],
  tensors: ({ inputDim, outputDim }) => [
    {
      name: 'embeddings',
      shape: [inputDim, outputDim],
      initial: 'SmallUniform',
      trainable: true,
      decayed: true,
    },
  ],
  toKeras: ({ inputDim, outputDim }) => ({ input_dim: inputDim, output_dim: outputDim, mask_zero: false }),
  fromKeras(config) {
    config.require({ mask_zero: false });
    config.requireAbsent('embeddings_regularizer', 'embeddings_constraint');
    return {
      type: 'Embedding',
      inputDim: config.number('input_dim'),
      outputDim: config.number('output_dim'),
    };
  },
};
