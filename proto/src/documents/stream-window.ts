import { z } from 'zod';

import { LIMITS } from '../limits.js';
import { cellTextSchema } from './metadata.js';

/** A day: the state of a window is held until it closes. */
const MOST_MS = 86_400_000;

const duration = z.number().min(1).max(MOST_MS);

const sizeMs = duration.describe(
  'Length in milliseconds, 1 to a day. Windows begin at its multiples since 1970.',
);
const latenessMs = z
  .number()
  .min(0)
  .max(MOST_MS)
  .default(0)
  .describe('How far behind the newest time of its key something may come and still count, in milliseconds.');
const late = z
  .enum(['Drop', 'DeadLetter'])
  .default('Drop')
  .describe('What becomes of messages with something later than that. Both are counted.');
const idleMs = duration
  .optional()
  .describe(
    'A key that is silent for this long by the clock of the site closes its windows. Without it only newer times do.',
  );

const reduce = z
  .array(
    z.strictObject({
      column: cellTextSchema.describe('Column of the row that the model sees.'),
      from: cellTextSchema.describe('Column of the stream, or a capture.'),
      function: z
        .enum(['Last', 'Mean', 'Min', 'Max', 'Count', 'Std', 'Series', 'Interval'])
        .describe(
          'Last: the newest value. Mean, Min, Max, Std (sample standard deviation): of the numbers; null without any. Count: how many values are there. Series: all samples in order, null where one is missing. Interval: milliseconds from the trigger before, in windows of type Event.',
        ),
    }),
  )
  .min(1)
  .max(LIMITS.streamColumns)
  .refine(
    (list) => new Set(list.map(({ column }) => column)).size === list.length,
    'a column is listed twice; list each once',
  )
  .describe('How a window becomes one row.');

const column = cellTextSchema.describe('Column that is watched.');
const beforeMs = z
  .number()
  .min(0)
  .max(60_000)
  .default(0)
  .describe('Start of the window before the trigger, in milliseconds.');
const afterMs = z
  .number()
  .min(0)
  .max(60_000)
  .default(0)
  .describe('End of the window after the trigger, in milliseconds.');

export const streamTriggerSchema = z.discriminatedUnion('type', [
  // Pan and Tompkins, IEEE Transactions on Biomedical Engineering 32 (1985).
  z.strictObject({ type: z.literal('RPeak'), column, beforeMs, afterMs }),
  z.strictObject({
    type: z.literal('Threshold'),
    column,
    beforeMs,
    afterMs,
    level: z.number().min(-1e12).max(1e12).describe('Value whose crossing is the trigger.'),
    direction: z.enum(['Rising', 'Falling']).default('Rising').describe('Which crossing.'),
    hysteresis: z
      .number()
      .min(0)
      .max(1e12)
      .default(0)
      .describe('How far the value must return beyond the level before the next crossing counts.'),
    refractoryMs: z
      .number()
      .min(0)
      .max(60_000)
      .default(0)
      .describe('Milliseconds after a trigger in which no other counts.'),
  }),
]);

/** What is predicted at once: a record, or a stretch of time of one key. */
export const streamWindowSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('Record') }),
  z.strictObject({ type: z.literal('Tumbling'), sizeMs, latenessMs, late, idleMs, reduce }),
  z.strictObject({
    type: z.literal('Sliding'),
    sizeMs,
    stepMs: duration.describe('Milliseconds from the start of one window to that of the next, up to sizeMs.'),
    latenessMs,
    late,
    idleMs,
    reduce,
  }),
  z.strictObject({
    type: z.literal('Session'),
    gapMs: duration.describe('Silence that ends a session, in milliseconds.'),
    maximumMs: duration
      .default(3_600_000)
      .describe('Length at which a session ends in any case, in milliseconds.'),
    latenessMs,
    late,
    idleMs,
    reduce,
  }),
  z.strictObject({
    type: z.literal('Event'),
    trigger: streamTriggerSchema.describe('What a window lies around.'),
    latenessMs,
    late,
    idleMs,
    reduce,
  }),
]);

export type StreamWindowSpec = z.output<typeof streamWindowSchema>;
export type StreamTriggerSpec = z.output<typeof streamTriggerSchema>;
/** Windows of time: every type but Record. */
export type TimeWindowSpec = Exclude<StreamWindowSpec, { type: 'Record' }>;
export type ReductionSpec = TimeWindowSpec['reduce'][number];
