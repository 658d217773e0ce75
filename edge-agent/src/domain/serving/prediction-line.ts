import { canonicalize } from '@tributary/proto';

import type { PredictionEntry } from '../../serving-ports.js';

/** Version of the files of the prediction log. */
export const PREDICTION_LOG_FORMAT = 1;

/** First line of each file. */
export const PREDICTION_LOG_HEADER = canonicalize({
  formatVersion: PREDICTION_LOG_FORMAT,
  kind: 'predictions',
});

/** A line of the log, with its end; `at` is the time in RFC 3339. Put together by hand, as thousands a second are written. */
export function predictionLine(
  { decisionId, model, version, source, scores, latencyMs, label }: PredictionEntry,
  at: string,
  input: string | undefined,
): string {
  const whose = `"model":${JSON.stringify(model)},"version":${String(version)},"source":${JSON.stringify(source)}`;
  const answer = `"scores":${JSON.stringify(scores)},"latencyMs":${JSON.stringify(latencyMs)}`;
  const named = label === undefined ? '' : `,"label":${JSON.stringify(label)}`;
  const digest = input === undefined ? '' : `,"input":"${input}"`;
  return `{"at":"${at}","decisionId":${JSON.stringify(decisionId)},${whose},${answer}${named}${digest}}\n`;
}

/** A file of the log: one a day, and more where a day has many predictions. */
export interface LogFile {
  /** `2026-01-31` in UTC. */
  readonly day: string;
  /** Counts from 1 within the day. */
  readonly part: number;
  readonly bytes: number;
}

export interface Retention {
  /** Days, from 1. */
  readonly retentionDays: number;
  /** Bytes of all files together. */
  readonly maximumBytes: number;
}

const DAY_MS = 24 * 3_600_000;

export const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10);

export const fileNameOf = ({ day, part }: Pick<LogFile, 'day' | 'part'>): string =>
  `${day}.${String(part).padStart(6, '0')}.jsonl`;

/** The day and part of a file of the log; undefined for other files. */
export function parseFileName(name: string): Pick<LogFile, 'day' | 'part'> | undefined {
  const [, day, part] = /^(\d{4}-\d{2}-\d{2})\.(\d{6})\.jsonl$/.exec(name) ?? [];
  return day === undefined ? undefined : { day, part: Number(part) };
}

/** The files to remove: those that are too old, and of the rest the oldest until all fit. The newest fits always. */
export function expired(
  files: readonly LogFile[],
  { retentionDays, maximumBytes }: Retention,
  nowMs: number,
): readonly LogFile[] {
  const newestFirst = [...files].sort((a, b) => (fileNameOf(a) < fileNameOf(b) ? 1 : -1));
  const oldest = dayOf(nowMs - retentionDays * DAY_MS);
  let bytes = 0;
  return newestFirst.filter((file, index) => {
    bytes += file.bytes;
    return file.day < oldest || (index > 0 && bytes > maximumBytes);
  });
}
