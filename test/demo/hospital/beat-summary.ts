/** A beat as the first pipeline publishes it, without its samples. */
export interface Beat {
  /** Of its R wave. */
  readonly timeMs: number;
  /** From the beat before; null for the first, and after a gap. */
  readonly intervalMs: number | null;
}

export interface Minute {
  readonly beats: number;
  /** Beats a minute by the mean of the intervals; NaN without any. */
  readonly heartRate: number;
}

const MINUTE_MS = 60_000;

/** Beats a minute by the mean interval; NaN without any. */
export function heartRateOf(beats: readonly Beat[]): number {
  const intervals = beats.flatMap(({ intervalMs }) => intervalMs ?? []);
  return (MINUTE_MS * intervals.length) / intervals.reduce((sum, interval) => sum + interval, 0);
}

/** The beats of each minute from `startMs` on. */
export function minutesOf(beats: readonly Beat[], startMs: number): readonly Minute[] {
  const last = beats.reduce((newest, beat) => Math.max(newest, minuteOf(beat, startMs)), -1);
  return Array.from({ length: last + 1 }, (_, minute) => {
    const within = beats.filter((beat) => minuteOf(beat, startMs) === minute);
    return { beats: within.length, heartRate: heartRateOf(within) };
  });
}

const minuteOf = ({ timeMs }: Beat, startMs: number): number =>
  Math.max(0, Math.floor((timeMs - startMs) / MINUTE_MS));
