import { z } from 'zod';

import { LIMITS } from '../limits.js';
import { isDistinct } from './learning-task.js';
import { API_VERSION, cellTextSchema, metadataSchema, nameSchema } from './metadata.js';
import { streamPayloadSchema } from './stream-payload.js';
import { streamWindowSchema } from './stream-window.js';

const MIB = 1_048_576;

/** Longest topic of MQTT is 65535 bytes; templates of people are shorter, and what fills them is bounded too. */
const topic = z.string().min(1).max(1_024);
const qos = z
  .int()
  .min(0)
  .max(1)
  .default(1)
  .describe('0: at most once. 1: at least once, and acknowledged only after the result is out.');

const level = z.number().min(-1e12).max(1e12);

const sourceSchema = z.strictObject({
  broker: nameSchema.describe('Broker as agent.yaml names it.'),
  topics: z
    .array(topic)
    .min(1)
    .max(64)
    .refine(isDistinct, 'a topic is listed twice; list each once')
    .describe('Topic filters; {name} stands for one level, as + does, and keeps it: site/+/bed/{bed}/ecg.'),
  qos,
  share: nameSchema
    .optional()
    .describe(
      'Group of a shared subscription: each message goes to one of its members. With windows of type Record only.',
    ),
});

const alertSchema = z.strictObject({
  name: nameSchema.describe('Name of the alert.'),
  output: cellTextSchema
    .optional()
    .describe(
      'Output of the model that is watched, or column of the row where there is no model. Default: model.output.',
    ),
  direction: z
    .enum(['High', 'Low'])
    .default('High')
    .describe('Which outputs are told of: high ones, or low ones such as an oxygen saturation that falls.'),
  above: level
    .optional()
    .describe('High: raised by outputs of this or more. Low: cleared by outputs over this; default: below.'),
  below: level
    .optional()
    .describe('Low: raised by outputs of this or less. High: cleared by outputs under this; default: above.'),
  holdMs: z
    .number()
    .min(0)
    .max(86_400_000)
    .default(0)
    .describe('Milliseconds for which outputs must stay so before it is raised.'),
  topic: topic.describe('Where it is published, raised and cleared; {name} is filled in.'),
});

/** How long a site keeps its log of what a model answered. */
export const decisionRuleSchema = z.strictObject({
  retentionDays: z
    .int()
    .min(1)
    .max(3_650)
    .default(30)
    .describe('Days for which the site keeps its log of decisions.'),
  maximumBytes: z
    .int()
    .min(MIB)
    .max(1_048_576 * MIB)
    .default(1_024 * MIB)
    .describe('Bytes of that log, 1 MiB to 1 TiB; the oldest decisions go first.'),
  inputs: z
    .enum(['Digest', 'None'])
    .default('Digest')
    .describe(
      'What the log says of the rows: their HMAC-SHA-256 under a key of the site, or nothing. Never the rows.',
    ),
});

export type DecisionRule = z.output<typeof decisionRuleSchema>;

const streamPipelineSpecSchema = z.strictObject({
  model: z
    .strictObject({
      name: nameSchema.describe('Model whose rolled-out version answers.'),
      output: cellTextSchema
        .optional()
        .describe('The output that results carry as their score; without it they carry all.'),
    })
    .optional()
    .describe('What answers. Without it results carry the row of each window.'),
  source: sourceSchema.describe('Which messages are read.'),
  payload: streamPayloadSchema.describe('How messages become records or samples.'),
  key: z
    .string()
    .min(1)
    .max(LIMITS.streamKeyLength)
    .describe('What messages are of the same stream, such as {ward}/{bed}: texts, captures and columns.'),
  window: streamWindowSchema.prefault({ type: 'Record' }).describe('What is answered at once.'),
  batch: z
    .strictObject({
      maximumRows: z
        .int()
        .min(1)
        .max(4_096)
        .default(64)
        .describe('Rows that are predicted together at most, 1 to 4096.'),
      budgetMs: z
        .number()
        .min(0)
        .max(1_000)
        .default(2)
        .describe('Milliseconds that a row waits for others at most, 0 to 1000.'),
    })
    .prefault({})
    .describe('How rows are gathered for the model.'),
  result: z
    .strictObject({
      topic: topic.describe('Where results go; {name} is filled in with captures and columns of the key.'),
      qos,
      retain: z
        .boolean()
        .default(false)
        .describe('Whether the broker keeps the newest one for new subscribers.'),
    })
    .describe('Where answers go.'),
  alerts: z
    .array(alertSchema)
    .max(64)
    .refine(
      (alerts) => isDistinct(alerts.map(({ name }) => name)),
      'an alert is listed twice; list each once',
    )
    .default([])
    .describe('What is told when outputs stay high.'),
  deadLetter: z
    .strictObject({
      topic: topic
        .optional()
        .describe('Where payloads that could not be used are reported; without it they are only counted.'),
      keepBytes: z
        .int()
        .min(0)
        .max(1_024 * MIB)
        .default(0)
        .describe('Bytes of such payloads that the site keeps, newest first; 0 keeps none.'),
    })
    .prefault({})
    .describe('What becomes of messages that cannot be used.'),
  decisions: decisionRuleSchema.prefault({}).describe('What the site remembers of its answers.'),
});

/** What a site's models answer on: a file at the site, named in `agent.yaml`. */
export const streamPipelineSchema = z.strictObject({
  apiVersion: z.literal(API_VERSION),
  kind: z.literal('StreamPipeline'),
  metadata: metadataSchema,
  spec: streamPipelineSpecSchema,
});

export type StreamPipeline = z.output<typeof streamPipelineSchema>;
export type StreamPipelineSpec = StreamPipeline['spec'];
export type StreamPipelineInput = z.input<typeof streamPipelineSchema>;
export type StreamAlertSpec = StreamPipelineSpec['alerts'][number];
