import { z } from 'zod';

import { layerSchema } from '../model/layers/layer-schema.js';
import { nameSchema, seedSchema } from './metadata.js';

export const modelSchema = z.strictObject({
  name: nameSchema.describe('Model under which the result is registered as a new version.'),
  layers: z
    .array(layerSchema)
    .min(1)
    .max(64)
    .describe(
      'Layers from input to output; the last must fit the task (see the task). In a file that `tributary apply` reads, `file: model.json` may stand in their place: a model of TensorFlow.js or Keras, beside the job.',
    ),
  seed: seedSchema.default(1).describe('Seed of the initial weights.'),
});

export type ModelSpec = z.output<typeof modelSchema>;
