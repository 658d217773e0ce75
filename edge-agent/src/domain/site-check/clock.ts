import { LIMITS } from '@tributary/proto';

import type { Validity } from '../renewal.js';
import { failedLine, okLine, skippedLine, type CheckLine } from './check-line.js';

const FIX =
  'set the clock: start chrony or systemd-timesyncd and name a time server that this site may reach; in a pod it is the clock of the node';

/** When a server answered, by its clock and by ours before and after; its clock counts in seconds. */
export interface ClockReading {
  readonly theirsMs: number;
  readonly askedMs: number;
  readonly answeredMs: number;
}

/** Milliseconds by which our clock is ahead; 0 where the reading is explained by the time that the answer took. */
export function skewOf({ theirsMs, askedMs, answeredMs }: ClockReading): number {
  if (askedMs > theirsMs + 1_000) return askedMs - (theirsMs + 1_000);
  return Math.min(0, answeredMs - theirsMs);
}

/** The clock against that of the coordinator, or, where none was read, against the dates of its certificate. */
export function clockLine(
  reading: ClockReading | undefined,
  certificate: Validity | undefined,
  nowMs: number,
): CheckLine {
  if (reading !== undefined) {
    const skew = skewOf(reading);
    const found = `this machine is ${durationText(Math.abs(skew))} ${skew < 0 ? 'behind' : 'ahead of'} the coordinator`;
    return Math.abs(skew) > LIMITS.clockSkewMs
      ? failedLine('clock', `${found}; certificates look expired or not yet valid`, FIX)
      : okLine('clock', found);
  }
  if (certificate === undefined) return skippedLine('clock', 'no coordinator answered to compare it with');
  if (nowMs < certificate.notBeforeMs)
    return failedLine(
      'clock',
      'the certificate that was presented begins in the future: this machine is behind',
      FIX,
    );
  if (nowMs > certificate.notAfterMs)
    return failedLine(
      'clock',
      'the certificate that was presented has ended: this machine is ahead, or it was not renewed',
      FIX,
    );
  return okLine('clock', 'within the dates of the certificate that was presented');
}

/** As people say it: "3 h", "2 d". */
export function durationText(ms: number): string {
  const [size, unit] = UNITS.find(([least]) => ms >= 2 * least) ?? [1_000, 's'];
  return `${String(Math.round(ms / size))} ${unit}`;
}

const UNITS: readonly (readonly [number, string])[] = [
  [24 * 3_600_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
];
