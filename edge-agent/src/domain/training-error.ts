import { ERROR_TABLE, TributaryError, type FederatedJobSpec } from '@tributary/proto';

import { redact, type RedactedError } from './redaction.js';

/** Errors that training raises while it handles records: nothing of their text leaves. */
const ABOUT_RECORDS = new Set([
  'DATASET_INVALID',
  'DATASET_TOO_SMALL',
  'DATASET_UNKNOWN',
  'TRAINING_FAILED',
  'TRAINING_DIVERGED',
  'INTERNAL',
]);

/** Fields that may be told where their value is a number: places, never values. */
const PLACES = ['line', 'row', 'epoch', 'index'] as const;

/** Words for what is wrong with a cell (CellFault of the contract). */
const FAULTS = new Set(['Missing', 'NotANumber', 'NotFinite', 'OutsideDomain', 'UnknownClass']);

/**
 * What may be said outside of an error of training. The sentence is that of the error table; places are numbers, and
 * names are told only where the job document itself contains them. So no cell can leave, whatever an error quotes.
 */
export function redactTraining(error: unknown, job: FederatedJobSpec): RedactedError {
  const known = error instanceof TributaryError ? error : new TributaryError('TRAINING_FAILED', '');
  if (!ABOUT_RECORDS.has(known.code)) return redact(known);
  const code = known.code === 'INTERNAL' ? 'TRAINING_FAILED' : known.code;
  const names = new Set([
    ...FAULTS,
    job.dataset.name,
    job.dataset.label,
    ...job.features.map(({ name }) => name),
  ]);
  const told = [
    ...PLACES.flatMap((place) => numberOf(known.fields[place]).map((value) => `${place} ${String(value)}`)),
    ...Object.entries(known.fields).flatMap(([field, value]) =>
      isWord(field) && typeof value === 'string' && names.has(value) ? [`${field} ${value}`] : [],
    ),
  ];
  const where = told.length === 0 ? '' : ` (${told.join(', ')})`;
  return { code, detail: `${ERROR_TABLE[code].documentation}${where}` };
}

const numberOf = (value: string | number | boolean | undefined): readonly number[] =>
  typeof value === 'number' && Number.isSafeInteger(value) ? [value] : [];

const isWord = (field: string): boolean => /^[a-zA-Z]{1,20}$/.test(field);
