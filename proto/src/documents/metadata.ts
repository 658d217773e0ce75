import { z } from 'zod';

import { LIMITS } from '../limits.js';

/** Group and version of every document of this build. */
export const API_VERSION = 'tributary.dev/v1alpha1';

// The patterns avoid lookaround, because Kubernetes evaluates them with RE2.
const NAME = /^[a-z0-9]((\.?[a-z0-9-])*\.?[a-z0-9])?$/;
const LABEL_KEY = /^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$/;
const LABEL_VALUE = /^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$/;
const NO_OUTER_SPACE = /^\S(.*\S)?$/;
const CONTROL = /\p{Cc}/u;

const LABEL_COUNT = 64;

/** Name of an object: what isName() of ids.ts accepts. */
export const nameSchema = z
  .string()
  .min(1)
  .max(LIMITS.nameLength)
  .regex(NAME, 'not a name; use a-z 0-9 - . and begin and end with a letter or digit');

/** Text that appears in CSV headers and cells: 1 to 128 characters, no control characters, no outer spaces. */
export const cellTextSchema = z
  .string()
  .min(1)
  .max(128)
  .regex(NO_OUTER_SPACE, 'begins or ends with a space; remove it')
  .refine((text) => !CONTROL.test(text), 'holds a control character; remove it');

/** Labels: up to 64 keys of 1 to 63 characters with values of 0 to 63. */
export const labelsSchema = z
  .record(
    z
      .string()
      .min(1)
      .max(63)
      .regex(
        LABEL_KEY,
        'not a label key; use letters, digits and . _ / -, with a letter or digit at both ends',
      ),
    z
      .string()
      .max(63)
      .regex(
        LABEL_VALUE,
        'not a label value; use letters, digits and . _ -, with a letter or digit at both ends',
      ),
  )
  .refine(
    (labels) => Object.keys(labels).length <= LABEL_COUNT,
    `more than ${String(LABEL_COUNT)} labels; remove some`,
  );

/** `metadata` of a document that is applied. */
export const metadataSchema = z.strictObject({
  name: nameSchema.describe('Name of the object, 1 to 63 characters; unique among its kind.'),
  labels: labelsSchema.default({}).describe('Labels for people and queries; no effect on training.'),
});

export type Metadata = z.output<typeof metadataSchema>;

/** Seed of public randomness: 0 to 2^32 - 1. */
export const seedSchema = z.int().min(0).max(0xffff_ffff);
