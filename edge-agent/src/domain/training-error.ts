import { ERROR_TABLE, TributaryError, type FederatedJobSpec } from '@tributary/proto';

import { jobColumns } from './datasets/job-columns.js';
import { clip, redact, type RedactedError } from './redaction.js';

/** Errors that training raises while it handles records: nothing of their text leaves. */
const ABOUT_RECORDS = new Set([
  'DATASET_INVALID',
  'DATASET_TOO_SMALL',
  'DATASET_UNKNOWN',
  'TRAINING_FAILED',
  'TRAINING_DIVERGED',
  'INTERNAL',
]);

/** Field of an error that says that worker or process of the trainer ended in the middle of a task. */
export const TRAINER_DIED = 'trainerDied';

/** True where another trainer can go on from what the one before had written. */
export function trainerDied(error: unknown): boolean {
  return error instanceof TributaryError && error.fields[TRAINER_DIED] === true;
}

/** Fields that may be told where their value is a number: places, never values. */
const PLACES = ['file', 'line', 'row', 'epoch', 'index'] as const;

/** What may be wrong with a cell (CellFault of the contract), a line or a file, in words that hold no part of it. */
const FAULTS: ReadonlyMap<unknown, string> = new Map([
  ['Missing', 'the label is missing'],
  ['NotANumber', 'not a number'],
  ['NotFinite', 'not a finite number'],
  ['OutsideDomain', 'outside the domain of the transform'],
  ['UnknownClass', 'not one of the classes of the task'],
  ['NotADate', 'not a date, or one without the part that the job asks for'],
  ['NotAList', 'not a list of numbers'],
  ['NoColumn', 'the first line does not name this column; names are separated by commas'],
  ['ColumnTwice', 'the first line names this column more than once'],
  ['CellCount', 'another number of cells than in the first line'],
  ['Quote', 'a quote is not closed, or stands where none may stand'],
  ['NoFile', 'the file that agent.yaml names does not exist'],
  ['Unreadable', 'the file that agent.yaml names cannot be read'],
  ['HeaderDiffers', 'the first lines of the files do not name the same columns'],
  ['Format', 'not readable in the format that agent.yaml names'],
  ['NoSuchColumn', 'the dataset has no such column that jobs may read'],
  ['KeyMissing', 'the key of the dataset is not there, or missing in a row'],
  ['Unprotected', 'the policy of the site de-identifies a column that the dataset does not have'],
  ['View', 'the view of the site is not a valid SELECT over its sources'],
  ['ViewForbidden', 'the view of the site reaches beyond its sources'],
  ['Conversion', 'a value does not fit the type that the view casts it to'],
  ['Empty', 'the file is empty; its first line names the columns'],
]);

/**
 * What may be said outside of an error of training. The words are those of FAULTS, else of the error table; places are
 * numbers, and names are told only where the job document itself contains them. So no cell can leave, whatever an error
 * quotes.
 */
export function redactTraining(error: unknown, job: FederatedJobSpec): RedactedError {
  const known = error instanceof TributaryError ? error : new TributaryError('TRAINING_FAILED', '');
  if (!ABOUT_RECORDS.has(known.code)) return redact(known);
  const code = known.code === 'INTERNAL' ? 'TRAINING_FAILED' : known.code;
  const names = new Set([job.dataset.name, ...jobColumns(job)]);
  const told = [
    ...PLACES.flatMap((place) => numberOf(known.fields[place]).map((value) => `${place} ${String(value)}`)),
    ...Object.entries(known.fields).flatMap(([field, value]) =>
      isWord(field) && typeof value === 'string' && names.has(value) ? [`${field} ${value}`] : [],
    ),
  ];
  const fault = FAULTS.get(known.fields['fault']);
  if (fault !== undefined)
    return { code, detail: clip(`${told.length === 0 ? '' : `${told.join(', ')}: `}${fault}`) };
  const where = told.length === 0 ? '' : ` (${told.join(', ')})`;
  return { code, detail: clip(`${ERROR_TABLE[code].documentation}${where}`) };
}

const numberOf = (value: string | number | boolean | undefined): readonly number[] =>
  typeof value === 'number' && Number.isSafeInteger(value) ? [value] : [];

const isWord = (field: string): boolean => /^[a-zA-Z]{1,20}$/.test(field);
