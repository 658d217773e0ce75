import { TributaryError, type FederatedJobInput } from '@tributary/proto';

import { SHARED_ROWS, type ColumnProfile } from './column-profile.js';

type JobSpec = FederatedJobInput['spec'];
type Layer = NonNullable<JobSpec['model']['layers']>[number];

/** What is learned from a label column: the task, the last layer that it asks for, and what is measured. */
export interface TaskDraft {
  readonly task: JobSpec['task'];
  readonly output: Layer;
  readonly metrics: NonNullable<NonNullable<JobSpec['evaluation']>['metrics']>;
}

const MOST_CLASSES = 20;

/** Names under which tables keep what is to be predicted. */
const LABEL_NAMES = new Set([
  'label',
  'class',
  'target',
  'outcome',
  'y',
  'default',
  'diagnosis',
  'status',
  'event',
]);

/** Values that say yes, wherever they stand beside one that says no. */
const POSITIVE = new Set([
  '1',
  'true',
  'yes',
  'y',
  'bad',
  'positive',
  'pos',
  'case',
  'dead',
  'died',
  'm',
  'malignant',
]);

/** The column of the label: the one that is named, or the only one with a customary name. Throws USAGE. */
export function labelColumn(columns: readonly ColumnProfile[], named: string | undefined): ColumnProfile {
  const wanted = (column: ColumnProfile): boolean =>
    named === undefined ? LABEL_NAMES.has(column.name.toLowerCase()) : column.name === named;
  const [found, another] = columns.filter(wanted);
  if (found !== undefined && another === undefined) return found;
  const what =
    named === undefined
      ? 'the table does not say which column is to be predicted'
      : `there is no column ${named}`;
  throw new TributaryError('USAGE', what, {
    hint: `Name it with --label: ${columns.map(({ name }) => name).join(', ')}`,
  });
}

/** Throws INVALID_ARGUMENT where nothing can be learned from the column. */
export function draftTask(label: ColumnProfile): TaskDraft {
  const { values } = label;
  if (values !== undefined && values.length === 2) return binary(label);
  if (values !== undefined && values.length > 2 && values.length <= MOST_CLASSES && !isQuantity(label))
    return multiClass(label);
  if (label.isNumeric && values?.length !== 1) {
    return {
      task: { type: 'Regression', ...scalingOf(label) },
      output: { type: 'Dense', units: 1, activation: 'Linear' },
      metrics: ['rmse', 'mae', 'r2'],
    };
  }
  throw new TributaryError(
    'INVALID_ARGUMENT',
    `column ${label.name} has neither two to ${String(MOST_CLASSES)} classes nor numbers`,
    { hint: 'Name another column with --label.' },
  );
}

/** Center and scale that bring most labels to -2 to 2; nothing where the column does not say enough. */
function scalingOf({ numbers }: ColumnProfile): { readonly center?: number; readonly scale?: number } {
  const { bounds } = numbers;
  if (bounds === undefined) return {};
  // The bounds have two digits; what is left of them beyond twelve is the noise of binary fractions.
  const rounded = (value: number): number => Number(value.toPrecision(12));
  return { center: rounded((bounds.low + bounds.high) / 2), scale: rounded((bounds.high - bounds.low) / 4) };
}

const isQuantity = (label: ColumnProfile): boolean => label.isNumeric && !label.isInteger;

function binary(label: ColumnProfile): TaskDraft {
  requireShared(label);
  const values = (label.values ?? []).map(([value]) => value);
  const said = values.filter((value) => POSITIVE.has(value.toLowerCase()));
  const positive = (said.length === 1 ? said[0] : values.at(-1)) ?? '';
  return {
    task: { type: 'Binary', positive },
    output: { type: 'Dense', units: 1, activation: 'Sigmoid' },
    metrics: ['auc', 'averagePrecision', 'brier'],
  };
}

function multiClass(label: ColumnProfile): TaskDraft {
  requireShared(label);
  const classes = (label.values ?? []).map(([value]) => value);
  // Numbers in their order, names by the alphabet: the same file gives the same job.
  classes.sort((left, right) => (label.isNumeric ? Number(left) - Number(right) : left < right ? -1 : 1));
  return {
    task: { type: 'MultiClass', classes },
    output: { type: 'Dense', units: classes.length, activation: 'Softmax' },
    metrics: ['accuracy', 'f1', 'logLoss'],
  };
}

function requireShared({ name, values }: ColumnProfile): void {
  if ((values ?? []).every(([, rows]) => rows >= SHARED_ROWS)) return;
  throw new TributaryError(
    'INVALID_ARGUMENT',
    `a class of column ${name} has fewer than ${String(SHARED_ROWS)} rows, and a job would tell of it`,
    { hint: 'Merge rare classes in the table, or write the job by hand.' },
  );
}
