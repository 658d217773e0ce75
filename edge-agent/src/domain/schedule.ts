import type { SitePolicySpec } from '@tributary/proto';

/** Windows of a site in which trainings may begin. */
export type Schedule = NonNullable<SitePolicySpec['schedule']>;
type Window = Schedule[number];
type Weekday = Window['days'][number];

const DAYS: readonly Weekday[] = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const MINUTE_MS = 60_000;
const DAY_MINUTES = 24 * 60;
/** A window opens once a week at least. */
const DAYS_AHEAD = 8;

/** Whether a training may begin at `nowMs`. */
export function isOpen(schedule: Schedule, nowMs: number): boolean {
  return schedule.some((window) => isInside(window, nowMs));
}

/** When the next window opens after `nowMs`; undefined where none does within a week. */
export function nextOpening(schedule: Schedule, nowMs: number): number | undefined {
  const openings = schedule.flatMap((window) => openingsOf(window, nowMs)).filter((at) => at > nowMs);
  return openings.length === 0 ? undefined : Math.min(...openings);
}

/** "Mon Tue 22:00 to 06:00 (Europe/Berlin)". */
export const describeWindow = ({ days, from, to, timeZone }: Window): string =>
  `${days.length === DAYS.length ? 'daily' : days.join(' ')} ${from} to ${to} (${timeZone})`;

function isInside({ days, from, to, timeZone }: Window, atMs: number): boolean {
  const { day, minutes } = localTime(atMs, timeZone);
  const opens = minutesOf(from);
  const closes = minutesOf(to);
  const today = days.includes(dayName(day));
  if (opens < closes) return today && minutes >= opens && minutes < closes;
  // Over midnight: what is before the end belongs to the day on which the window began.
  return (today && minutes >= opens) || (days.includes(dayName(day - 1)) && minutes < closes);
}

function openingsOf(window: Window, nowMs: number): readonly number[] {
  const start = nowMs - (nowMs % MINUTE_MS);
  const { minutes } = localTime(start, window.timeZone);
  const wanted = minutesOf(window.from);
  return Array.from({ length: DAYS_AHEAD + 1 }, (_, ahead) =>
    atLocalTime(start + (ahead * DAY_MINUTES + wanted - minutes) * MINUTE_MS, wanted, window.timeZone),
  ).filter((at) => isInside(window, at));
}

/** The time near `guessMs` at which clocks of the zone show `wanted`: between guess and now they may have changed. */
function atLocalTime(guessMs: number, wanted: number, timeZone: string): number {
  const { minutes } = localTime(guessMs, timeZone);
  const off = ((wanted - minutes + DAY_MINUTES / 2 + DAY_MINUTES) % DAY_MINUTES) - DAY_MINUTES / 2;
  return guessMs + off * MINUTE_MS;
}

/** Day of the week from Sunday, and minutes since midnight, as clocks of the zone show them. */
function localTime(atMs: number, timeZone: string): { readonly day: number; readonly minutes: number } {
  const parts = clockOf(timeZone).formatToParts(atMs);
  const of = (type: string): string => parts.find((part) => part.type === type)?.value ?? '';
  const day = DAYS.findIndex((name) => name === of('weekday'));
  return { day, minutes: Number(of('hour')) * 60 + Number(of('minute')) };
}

const clockOf = (timeZone: string): Intl.DateTimeFormat =>
  new Intl.DateTimeFormat('en-GB', {
    timeZone,
    weekday: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });

const dayName = (day: number): Weekday => DAYS[(day + DAYS.length) % DAYS.length] ?? 'Sun';

function minutesOf(time: string): number {
  const [hours = 0, minutes = 0] = time.split(':').map(Number);
  return hours * 60 + minutes;
}
