import { z } from 'zod';

import { isJsonObject, type JsonObject } from '../../canonical-json.js';
import type { Problem } from '../../documents/problem.js';
import { KerasConfig } from '../keras-config.js';
import type { Shape } from '../shape.js';
import { isProblem, type LayerKind } from './layer-kind.js';
import { gru, gruSchema, lstm, lstmSchema, simpleRnn, simpleRnnSchema } from './recurrent.js';

const innerSchema = z.discriminatedUnion('type', [simpleRnnSchema, lstmSchema, gruSchema]);
type Inner = z.output<typeof innerSchema>;

const MERGES = { Concat: 'concat', Sum: 'sum', Average: 'ave', Multiply: 'mul' } as const;

export const bidirectionalSchema = z.strictObject({
  type: z.literal('Bidirectional'),
  layer: innerSchema.describe('The recurrent layer that reads in both directions.'),
  merge: z
    .enum(['Concat', 'Sum', 'Average', 'Multiply'])
    .default('Concat')
    .describe('How the outputs of both directions become one; Concat doubles the channels.'),
});

/** Names of the inner layers in TensorFlow.js: "forward_" and "backward_" before these. */
const NAMES = { SimpleRnn: 'simple_rnn', Lstm: 'lstm', Gru: 'gru' } as const;
const KINDS = { SimpleRnn: simpleRnn, Lstm: lstm, Gru: gru } as const;

/** The kind of the inner layer. The cast only forgets which of the three it is; KINDS keeps them apart. */
const kindOf = ({ type }: Inner): LayerKind<Inner> => KINDS[type] as LayerKind<Inner>;

/** A recurrent layer over the row in order and another over it backwards (Schuster and Paliwal, 1997). */
export const bidirectional: LayerKind<z.output<typeof bidirectionalSchema>> = {
  className: 'Bidirectional',
  output({ layer, merge }, input): Shape | Problem {
    const output = kindOf(layer).output(layer, input);
    if (isProblem(output)) return { ...output, path: ['layer', ...output.path] };
    return merge === 'Concat' ? [...output.slice(0, -1), 2 * (output.at(-1) ?? 1)] : output;
  },
  tensors({ layer }, input) {
    const tensors = kindOf(layer).tensors(layer, input);
    return ['forward', 'backward'].flatMap((direction) =>
      tensors.map((tensor) => ({ ...tensor, name: `${direction}_${NAMES[layer.type]}/${tensor.name}` })),
    );
  },
  toKeras: ({ layer, merge }) => ({
    merge_mode: MERGES[merge],
    layer: {
      class_name: kindOf(layer).className,
      config: { name: NAMES[layer.type], trainable: true, ...kindOf(layer).toKeras(layer) },
    },
  }),
  fromKeras(config, input) {
    config.requireAbsent('backward_layer');
    const { class_name: className, config: inner } = config.object('layer');
    const kind = Object.values(KINDS).find((candidate) => candidate.className === className);
    if (kind === undefined || !isJsonObject(inner))
      throw config.refuse('layer', 'only SimpleRNN, LSTM and GRU are served');
    return {
      type: 'Bidirectional',
      layer: kind.fromKeras(new KerasConfig('layer', inner satisfies JsonObject), input),
      merge: config.choice('merge_mode', MERGES, 'Concat'),
    };
  },
};
