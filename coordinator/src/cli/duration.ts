import { TributaryError } from '@tributary/proto';

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };

/** Seconds of "90s", "15m", "24h" or "7d"; throws USAGE naming the option. */
export function requireDuration(value: string, option: string): number {
  const match = /^([1-9][0-9]{0,6})([smhd])$/.exec(value);
  const unit = SECONDS[match?.[2] ?? ''];
  if (match?.[1] === undefined || unit === undefined) {
    throw new TributaryError('USAGE', `${option}: ${value} is not a duration such as 90s, 15m, 24h or 7d`);
  }
  return Number(match[1]) * unit;
}
