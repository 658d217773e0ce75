/** A day of the proleptic Gregorian calendar, as exactly as it was written. */
export interface CivilDate {
  readonly year: number;
  /** 1 to 12; absent where only a year was written. */
  readonly month?: number;
  /** 1 to 31; absent where only a month was written. */
  readonly day?: number;
}

/** A date of ISO 8601, or the beginning of one as de-identification leaves it; a time after a day is not read. */
const DATE = /^(\d{4})(?:-(\d{2})(?:-(\d{2})(?:[T ]\d{2}:\d{2}[0-9:.]*(?:Z|[+-]\d{2}(?::?\d{2})?)?)?)?)?$/;

/** Reads `2024-05-31`, `2024-05`, `2024`, `2024-05-31T10:00:00Z`; undefined for anything else and for no such day. */
export function readDate(text: string): CivilDate | undefined {
  const match = DATE.exec(text);
  if (match === null) return undefined;
  const year = Number(match[1]);
  if (match[2] === undefined) return { year };
  const month = Number(match[2]);
  if (month < 1 || month > 12) return undefined;
  if (match[3] === undefined) return { year, month };
  const day = Number(match[3]);
  return day >= 1 && day <= daysOfMonth(year, month) ? { year, month, day } : undefined;
}

/** Days from 1970-01-01 to a date, negative before. A part that was not written counts as its first. */
export function dayNumber({ year, month = 1, day = 1 }: CivilDate): number {
  // Years that begin in March put the leap day last (H. Hinnant, "chrono-compatible low-level date algorithms").
  const shifted = month <= 2 ? year - 1 : year;
  const era = Math.floor(shifted / 400);
  const yearOfEra = shifted - era * 400;
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}

/** 1 for Monday to 7 for Sunday, as ISO 8601 counts. */
export function dayOfWeek(date: CivilDate): number {
  const sinceMonday = (dayNumber(date) + 3) % 7;
  return ((sinceMonday + 7) % 7) + 1;
}

/** 1 for the first of January. */
export function dayOfYear(date: CivilDate): number {
  return dayNumber(date) - dayNumber({ year: date.year }) + 1;
}

function daysOfMonth(year: number, month: number): number {
  const next = month === 12 ? { year: year + 1, month: 1 } : { year, month: month + 1 };
  return dayNumber(next) - dayNumber({ year, month });
}
