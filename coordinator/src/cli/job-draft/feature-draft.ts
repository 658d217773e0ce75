import type { FederatedJobInput } from '@tributary/proto';

import { SHARED_ROWS, type ColumnProfile, type Spread } from './column-profile.js';

export type FeatureDraft = FederatedJobInput['spec']['features'][number];

/** What becomes of a column: a feature, or the reason why it is left out. */
export type ColumnDraft =
  { readonly feature: FeatureDraft } | { readonly column: string; readonly leftOut: string };

/** Whole numbers with no more different values than this are codes rather than quantities. */
const MOST_CODES = 5;

/** Categories that get an input of their own. */
const MOST_CATEGORIES = 50;

/** Skewness from which the logarithm of a non-negative quantity is closer to symmetric than itself. */
const SKEWED = 2;

/** Columns that say whose row it is. */
const IDENTIFIER = /(^|[_. -])(id|uuid|guid|mrn|ssn|iban)$/i;

/** Day from which dates are counted. */
const REFERENCE = { text: '2000-01-01', day: 10_957 };

/** Drafts the feature of a column, from its profile alone. */
export function draftFeature(column: ColumnProfile): ColumnDraft {
  const { name, values } = column;
  const leftOut = (reason: string): ColumnDraft => ({ column: name, leftOut: reason });
  if (column.present < 2 * SHARED_ROWS) return leftOut('too few rows have a value');
  if (values?.length === 1) return leftOut('it has one value in all rows');
  if (IDENTIFIER.test(name))
    return leftOut('it says whose row it is; as key of the dataset it keeps the rows of one person together');
  if (column.isSerial) return leftOut('it counts the rows');
  if (column.isNumeric && !isCode(column))
    return quantity(column) ?? leftOut('nearly all rows have one value');
  if (column.isDate) return day(column) ?? leftOut('nearly all rows have one date');
  return (
    categories(column) ?? leftOut(`its values are mostly shared by fewer than ${String(SHARED_ROWS)} rows`)
  );
}

const isCode = ({ isInteger, values }: ColumnProfile): boolean =>
  isInteger && values !== undefined && values.length <= MOST_CODES;

function quantity({ name, numbers, missing }: ColumnProfile): ColumnDraft | undefined {
  const bounds = numbers.bounds;
  if (bounds === undefined) return undefined;
  const skewed = isSkewed(numbers);
  const low = skewed ? Math.max(0, bounds.low) : bounds.low;
  return {
    feature: {
      name,
      type: 'Numeric',
      ...(skewed && { transform: 'Log1p' as const }),
      scaling: 'Federated',
      low,
      high: bounds.high,
      clip: 5,
      ...(missing >= SHARED_ROWS && { indicator: true }),
    },
  };
}

const isSkewed = (numbers: Spread): boolean => numbers.isNonNegative && numbers.skewness > SKEWED;

function day({ name, dates, missing }: ColumnProfile): ColumnDraft | undefined {
  const bounds = dates.bounds;
  if (bounds === undefined) return undefined;
  return {
    feature: {
      name,
      type: 'Date',
      part: 'Days',
      reference: REFERENCE.text,
      scaling: 'Federated',
      low: bounds.low - REFERENCE.day,
      high: bounds.high - REFERENCE.day,
      clip: 5,
      ...(missing >= SHARED_ROWS && { indicator: true }),
    },
  };
}

function categories({ name, values, present }: ColumnProfile): ColumnDraft | undefined {
  const shared = (values ?? []).filter(([, rows]) => rows >= SHARED_ROWS).slice(0, MOST_CATEGORIES);
  const covered = shared.reduce((sum, [, rows]) => sum + rows, 0);
  if (covered < present / 2) return undefined;
  return { feature: { name, type: 'Categorical', categories: shared.map(([value]) => value) } };
}
