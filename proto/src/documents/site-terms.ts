import { z } from 'zod';

import { isDistinct } from './learning-task.js';
import { nameSchema } from './metadata.js';
import { publicKeySchema } from './public-key.js';

/** A person whose key the site knows. */
export const keyHolderSchema = z.strictObject({
  name: nameSchema.describe('For the log of decisions; the key decides.'),
  key: publicKeySchema,
});

/** Who says yes to a job, besides the rules. */
export const approvalSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('Automatic') }),
  z.strictObject({
    type: z.literal('Manual'),
    approvers: z
      .array(keyHolderSchema)
      .max(64)
      .refine(
        (approvers) =>
          isDistinct(approvers.map(({ key }) => key)) && isDistinct(approvers.map(({ name }) => name)),
        'an approver is listed twice; list each once',
      )
      .default([])
      .describe('Whose signature counts; empty: that of whoever may run commands of the agent.'),
  }),
]);

/** Days as windows name them, Monday first. */
export const WEEKDAYS = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'] as const;

const timeOfDay = z
  .string()
  .regex(/^([01][0-9]|2[0-3]):[0-5][0-9]$/, 'not a time of day; write HH:MM from 00:00 to 23:59');

const windowSchema = z.strictObject({
  days: z
    .array(z.enum(WEEKDAYS))
    .min(1)
    .refine(isDistinct, 'a day is listed twice; list each once')
    .default([...WEEKDAYS])
    .describe('Days on which it begins.'),
  from: timeOfDay.describe('When it opens, HH:MM.'),
  to: timeOfDay.describe('When it closes; on the next day where it is not after `from`.'),
  timeZone: z
    .string()
    .max(64)
    .refine(isTimeZone, 'not a time zone; name one of the IANA database, such as Europe/Berlin')
    .describe('IANA name of the zone in which the times are meant.'),
});

/** When trainings may begin. */
export const scheduleSchema = z.array(windowSchema).min(1).max(64);

/** Where a training may be computed, by the names of agent.yaml. */
export const TRAINING_BACKENDS = ['NativeGpu', 'NativeCpu', 'WebGpu', 'Wasm', 'Cpu'] as const;

export const computeSchema = z.strictObject({
  backends: z
    .array(z.enum(TRAINING_BACKENDS))
    .min(1)
    .refine(isDistinct, 'a backend is listed twice; list each once')
    .optional()
    .describe('Backends on which jobs may train; without it every one. NativeGpu and WebGpu use the GPU.'),
  cpuPercent: z
    .int()
    .min(1)
    .max(100)
    .default(100)
    .describe('Share of its time in which the training thread computes; it rests for the remainder.'),
});

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}
