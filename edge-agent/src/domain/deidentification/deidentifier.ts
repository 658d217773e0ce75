import {
  DEFAULT_MISSING,
  presentText,
  readDate,
  readNumber,
  type Cell,
  type CellFault,
  type DeidentificationSpec,
  type Generalisation,
} from '@tributary/proto';

/** What a masked cell reads as. */
export const MASK = 'masked';

/** A cell that could not be made coarser: handing it on as it is would tell more than the policy allows. */
export interface Unreadable {
  readonly fault: CellFault;
}

/** The coarser cell, or why there is none. */
export type CellRule = (cell: Cell) => Cell | Unreadable;

/** The row-local part of a policy's de-identification. */
export interface Deidentifier {
  /** Columns that no job sees, not even as missing ones. */
  readonly dropped: ReadonlySet<string>;
  /** Rules by column; columns without one pass as they are. */
  readonly rules: ReadonlyMap<string, CellRule>;
}

/** Age from which all are one band unless the policy says otherwise: 45 CFR 164.514(b)(2)(i)(C). */
const OLD = 90;

const MISSING: ReadonlySet<string> = new Set(DEFAULT_MISSING);

/**
 * Compiles what a policy does to single cells. Masked columns read as one constant, missing cells too: that one is
 * missing may tell as much. Bands read as the text of their lower bound, dates as `2024` or `2024-05`; missing cells
 * stay missing there.
 */
export function compileDeidentification({ drop, mask, generalise }: DeidentificationSpec): Deidentifier {
  const rules = new Map<string, CellRule>(mask.map((column) => [column, () => MASK]));
  for (const step of generalise) rules.set(step.column, presentOnly(generaliser(step)));
  return { dropped: new Set(drop), rules };
}

export function isUnreadable(cell: Cell | Unreadable): cell is Unreadable {
  return typeof cell === 'object' && cell !== null && 'fault' in cell;
}

function presentOnly(rule: (text: string) => Cell | Unreadable): CellRule {
  return (cell) => {
    const text = presentText(cell, MISSING);
    return text === undefined ? null : rule(text);
  };
}

function generaliser(step: Generalisation): (text: string) => Cell | Unreadable {
  switch (step.type) {
    case 'AgeBand':
      return (text) => banded(text, step.width, step.top ?? OLD);
    case 'Band':
      return (text) => banded(text, step.width, step.top);
    case 'Year':
      return (text) => {
        const date = readDate(text);
        return date === undefined ? { fault: 'NotADate' } : yearText(date.year);
      };
    case 'YearMonth':
      return (text) => {
        const date = readDate(text);
        if (date?.month === undefined) return { fault: 'NotADate' };
        return `${yearText(date.year)}-${String(date.month).padStart(2, '0')}`;
      };
  }
}

function banded(text: string, width: number, top: number | undefined): string | Unreadable {
  const value = readNumber(text);
  return typeof value === 'number' ? lowerBound(value, width, top) : { fault: value };
}

/**
 * Bounds have twelve significant digits: 3 x 0.1 reads as 0.3 everywhere. The quotient has fifteen, so that 0.3 begins
 * the band of that bound and does not end the one below.
 */
function lowerBound(value: number, width: number, top: number | undefined): string {
  if (top !== undefined && value >= top) return String(top);
  return String(Number((Math.floor(Number((value / width).toPrecision(15))) * width).toPrecision(12)) + 0);
}

const yearText = (year: number): string => String(year).padStart(4, '0');
