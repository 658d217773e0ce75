import { readDate, type StreamTimeSpec } from '@tributary/proto';

export type TimeUnit = Extract<StreamTimeSpec, { type: 'Path' }>['unit'];

const PER_MS: Readonly<Record<TimeUnit, number>> = {
  Seconds: 0.001,
  Milliseconds: 1,
  Microseconds: 1_000,
  Nanoseconds: 1_000_000,
};

/** In the year 2255: up to then a float64 holds whole microseconds exactly. */
const LAST_MS = Number.MAX_SAFE_INTEGER / 1_000;
const NUMBER = /^\d{1,20}(\.\d{1,12})?$/;
const RFC_3339 =
  /^(\d{4}-\d{2}-\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(\.\d{1,12})?(?:[Zz]|([+-])(\d{2}):(\d{2}))$/;

/**
 * Times are milliseconds since 1970 in UTC, rounded to microseconds: so that the same instant is the same number, however
 * it was computed.
 */
export function instant(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}

/** Reads a time as devices write it: a number (or its text) in `unit`, or RFC 3339; undefined for anything else. */
export function readInstant(value: unknown, unit: TimeUnit): number | undefined {
  if (typeof value === 'number') return inRange(value / PER_MS[unit]);
  if (typeof value !== 'string') return undefined;
  return NUMBER.test(value) ? inRange(Number(value) / PER_MS[unit]) : readRfc3339(value);
}

/** A date and time of RFC 3339, section 5.6, with its zone. */
export function readRfc3339(text: string): number | undefined {
  const [, date = '', hour, minute, second, fraction = '0', sign, zoneHour, zoneMinute] =
    RFC_3339.exec(text) ?? [];
  const day = readDate(date);
  if (day?.month === undefined || day.day === undefined) return undefined;
  const clock = [Number(hour), Number(minute), Number(second)] as const;
  // A leap second (60) counts as the second that follows it.
  if (clock[0] > 23 || clock[1] > 59 || clock[2] > 60) return undefined;
  const zone =
    sign === undefined ? 0 : (Number(zoneHour) * 60 + Number(zoneMinute)) * (sign === '-' ? -1 : 1);
  const midnight = Date.parse(`${date}T00:00:00Z`);
  const seconds = (clock[0] * 60 + clock[1] - zone) * 60 + clock[2];
  return inRange(midnight + (seconds + Number(fraction)) * 1_000);
}

function inRange(ms: number): number | undefined {
  return ms >= 0 && ms <= LAST_MS ? instant(ms) : undefined;
}
