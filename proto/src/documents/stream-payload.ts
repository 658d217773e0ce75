import { z } from 'zod';

import { LIMITS } from '../limits.js';
import { cellTextSchema } from './metadata.js';

/** `a.b[0].c`: members and positions; a dot or bracket inside a member's name cannot be written. */
const PATH = /^([^.[\]]+|\[\d{1,6}\])(\.[^.[\]]+|\[\d{1,6}\])*$/;
const CODE = /^([^|\s]+\|)?[^|\s]+$/;

const pathSchema = z
  .string()
  .min(1)
  .max(256)
  .regex(PATH, 'not a path; write members and positions, such as vitals.pulse[0].value');

const captureSchema = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9_]{0,62}$/, 'not the name of a capture; write it without braces');

const timeUnit = z
  .enum(['Seconds', 'Milliseconds', 'Microseconds', 'Nanoseconds'])
  .default('Milliseconds')
  .describe('Unit of a time that is a number, counted from 1970. Texts in RFC 3339 are read in any case.');

/** Where the time of a record, or of the first sample of a message, is found. */
export const streamTimeSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('Arrival') }),
  z.strictObject({
    type: z.literal('Path'),
    path: pathSchema.describe('Where in the payload.'),
    unit: timeUnit,
  }),
  z.strictObject({
    type: z.literal('Capture'),
    capture: captureSchema.describe('Capture of the topic that holds it.'),
    unit: timeUnit,
  }),
  z.strictObject({
    type: z.literal('Property'),
    property: z.string().min(1).max(128).describe('User property of MQTT 5 that holds it.'),
    unit: timeUnit,
  }),
]);

const time = streamTimeSchema
  .prefault({ type: 'Arrival' })
  .describe(
    'When it happened. Arrival: when the message came, less the duration of its samples; then messages without an id are told apart by nothing, and a message that comes again after a restart gets a new decision id.',
  );

const id = pathSchema
  .optional()
  .describe('Where in the payload an id of the message stands, so that repeated messages are known by it.');

const columns = z
  .record(cellTextSchema, pathSchema)
  .refine(
    (record) => Object.keys(record).length <= LIMITS.streamColumns,
    'more columns than are read; remove some',
  )
  .default({})
  .describe(
    'Columns, and where in the payload each is found, such as `pulse: vitals.pulse`. A missing value is null.',
  );

const rateHz = z
  .number()
  .min(0.001)
  .max(100_000)
  .optional()
  .describe(
    'Samples a second, 0.001 to 100000. With it every column is a list of samples, the first at the time.',
  );

const factor = z.number().min(-1e12).max(1e12);

/** How the bytes of a message become records or samples. */
export const streamPayloadSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('Json'), columns, time, id, rateHz }),
  z.strictObject({ type: z.literal('Cbor'), columns, time, id, rateHz }),
  z.strictObject({
    type: z.literal('Samples'),
    encoding: z
      .enum(['U8', 'U16Le', 'U16Be', 'I16Le', 'I16Be', 'I32Le', 'I32Be', 'F32Le', 'F32Be', 'F64Le', 'F64Be'])
      .describe('One number after the other: unsigned, signed or floating, bits, little- or big-endian.'),
    channels: z
      .array(cellTextSchema)
      .min(1)
      .max(64)
      .refine((names) => new Set(names).size === names.length, 'a column is listed twice; list each once')
      .describe('Columns whose numbers take turns, 1 to 64.'),
    time,
    rateHz,
    scale: factor.default(1).describe('Factor of the raw number.'),
    offset: factor.default(0).describe('Added after the factor.'),
  }),
  // HL7 FHIR R4 (4.0.1), Observation and SampledData.
  z.strictObject({
    type: z.literal('FhirObservation'),
    columns,
    id,
    codes: z
      .record(cellTextSchema, z.string().min(1).max(256).regex(CODE, 'not a code; write system|code or code'))
      .refine(
        (record) => Object.keys(record).length <= LIMITS.streamColumns,
        'more columns than are read; remove some',
      )
      .describe(
        'Columns, and the code of the observation or component whose value each takes: `pulse: http://loinc.org|8867-4`. Further dimensions of SampledData are called `name[1]`, `name[2]`.',
      ),
  }),
]);

export type StreamPayloadSpec = z.output<typeof streamPayloadSchema>;
export type StreamTimeSpec = z.output<typeof streamTimeSchema>;
export type SampleEncoding = Extract<StreamPayloadSpec, { type: 'Samples' }>['encoding'];
