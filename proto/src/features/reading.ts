import {
  columnsOf,
  DEFAULT_MISSING,
  type DateFeatureSpec,
  type NumericFeatureSpec,
  type RatioFeatureSpec,
  type ScalarFeatureSpec,
  type ScaledFeatureSpec,
  type SequenceFeatureSpec,
} from '../documents/feature-spec.js';
import {
  cellOf,
  presentText,
  readList,
  readNumber,
  type Cell,
  type CellFault,
  type CellIssue,
  type Row,
} from './cell.js';
import { dayNumber, dayOfWeek, dayOfYear, readDate, type CivilDate } from './civil-date.js';

/** What a row holds for a feature, after the transform and before centring; undefined where it is missing. */
export type ScalarReading = number | undefined | CellIssue;
export type SequenceReading = readonly (number | undefined)[] | CellIssue;

export type ScalarReader = (row: Row) => ScalarReading;
export type SequenceReader = (row: Row) => SequenceReading;

/** Texts that stand for a missing cell, and the numbers that some of them write. */
interface Markers {
  readonly texts: ReadonlySet<string>;
  readonly numbers: ReadonlySet<number>;
}

export function markersOf({
  missing = DEFAULT_MISSING,
}: {
  readonly missing?: readonly string[] | undefined;
}): Markers {
  const numbers = missing.map(readNumber).filter((value) => typeof value === 'number');
  return { texts: new Set(missing), numbers: new Set(numbers) };
}

export function isIssue(reading: ScalarReading | SequenceReading): reading is CellIssue {
  return typeof reading === 'object' && 'reason' in reading;
}

/** The transform of a feature: of cells, of `impute`, `low` and `high`. OutsideDomain where it is undefined. */
export function transformOf(feature: ScaledFeatureSpec): (value: number) => number | CellFault {
  if (feature.type !== 'Numeric' || feature.transform === 'Identity') return (value) => value;
  return (value) => (value > -1 ? Math.log1p(value) : 'OutsideDomain');
}

/** The bounds of scaling Federated after the transform; 0 and 1 where the feature has none. */
export function tableBounds(feature: ScaledFeatureSpec): { readonly low: number; readonly high: number } {
  const transform = transformOf(feature);
  const [low, high] = [feature.low, feature.high].map((value) =>
    value === undefined ? value : transform(value),
  );
  return typeof low === 'number' && typeof high === 'number' ? { low, high } : { low: 0, high: 1 };
}

export function scalarReader(feature: ScalarFeatureSpec): ScalarReader {
  switch (feature.type) {
    case 'Numeric':
      return numericReader(feature);
    case 'Date':
      return dateReader(feature);
    case 'Ratio':
      return ratioReader(feature);
  }
}

/** The elements of the list that are kept; none where the cell is missing. */
export function sequenceReader(feature: SequenceFeatureSpec): SequenceReader {
  const { name: column, length, truncate } = feature;
  const { texts, numbers } = markersOf(feature);
  return (row) => {
    const cell = cellOf(row, column);
    if (cell === null || cell === undefined || presentText(cell, texts) === undefined) return [];
    const elements = readList(cell, texts);
    if (typeof elements === 'string') return { column, reason: elements };
    const kept = truncate === 'First' ? elements.slice(0, length) : elements.slice(-length);
    return kept.map((value) => (value !== undefined && numbers.has(value) ? undefined : value));
  };
}

function numericReader(feature: NumericFeatureSpec): ScalarReader {
  const { name: column } = feature;
  const markers = markersOf(feature);
  const transform = transformOf(feature);
  return (row) => {
    const value = presentNumber(cellOf(row, column), markers);
    const transformed = typeof value === 'number' ? transform(value) : value;
    return typeof transformed === 'string' ? { column, reason: transformed } : transformed;
  };
}

function dateReader(feature: DateFeatureSpec): ScalarReader {
  const [column = feature.name] = columnsOf(feature);
  const { texts } = markersOf(feature);
  const part = datePart(feature);
  return (row) => {
    const text = presentText(cellOf(row, column), texts);
    if (text === undefined) return undefined;
    const date = readDate(text);
    return (date && part(date)) ?? { column, reason: 'NotADate' };
  };
}

/** Undefined where the date was not written that exactly: a year alone has no month. */
function datePart({ part, reference = '' }: DateFeatureSpec): (date: CivilDate) => number | undefined {
  switch (part) {
    case 'Year':
      return ({ year }) => year;
    case 'Month':
      return ({ month }) => month;
    case 'DayOfWeek':
      return (date) => (date.day === undefined ? undefined : dayOfWeek(date));
    case 'DayOfYear':
      return (date) => (date.day === undefined ? undefined : dayOfYear(date));
    case 'Days': {
      const origin = dayNumber(readDate(reference) ?? { year: 1970 });
      return (date) => dayNumber(date) - origin;
    }
  }
}

function ratioReader(feature: RatioFeatureSpec): ScalarReader {
  const { numerator, denominator } = feature;
  const markers = markersOf(feature);
  return (row) => {
    const above = presentNumber(cellOf(row, numerator), markers);
    if (typeof above === 'string') return { column: numerator, reason: above };
    const below = presentNumber(cellOf(row, denominator), markers);
    if (typeof below === 'string') return { column: denominator, reason: below };
    if (above === undefined || below === undefined || below === 0) return undefined;
    const quotient = above / below + 0;
    return Number.isFinite(quotient) ? quotient : { column: denominator, reason: 'NotFinite' };
  };
}

function presentNumber(cell: Cell, { texts, numbers }: Markers): number | undefined | CellFault {
  const text = presentText(cell, texts);
  if (text === undefined) return undefined;
  const value = readNumber(text);
  return typeof value === 'number' && numbers.has(value) ? undefined : value;
}
