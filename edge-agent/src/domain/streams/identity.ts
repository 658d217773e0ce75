import { canonicalText, sha256Hex, type JsonValue } from '@tributary/proto';

/** Hex digits of an id: 128 bits, so that none of any number of decisions of a site share one. */
const ID_DIGITS = 32;

/** The first 32 hex digits of the SHA-256 (FIPS 180-4) of the canonical JSON (RFC 8785) of what makes something itself. */
export function idOf(value: JsonValue): string {
  return idOfText(canonicalText(value));
}

const idOfText = (canonical: string): string => sha256Hex(canonical).slice(0, ID_DIGITS);

/** What tells one record, or samples, of a message from any other. */
export interface ContentIdentity {
  readonly topic: string;
  /** Of the payload, hex. */
  readonly digest: string;
  readonly id: string | undefined;
  readonly position: number;
  readonly time: number | null;
}

/** Id of a content. Written by hand, as each message needs it: the same text as canonicalText gives. */
export function contentId({ topic, digest, id, position, time }: ContentIdentity): string {
  const named = id === undefined ? '' : `,"id":${JSON.stringify(id)}`;
  const place = `"position":${String(position)},"time":${JSON.stringify(time)}`;
  return idOfText(`{"digest":"${digest}"${named},${place},"topic":${JSON.stringify(topic)}}`);
}

/** What a window of a key is known by, the same whenever and wherever it is computed. */
export interface WindowIdentity {
  readonly pipeline: string;
  readonly key: string;
  readonly startMs: number;
  readonly endMs: number;
}

/** Id of the decision on a window. */
export function windowDecisionId({ pipeline, key, startMs, endMs }: WindowIdentity): string {
  return idOf({ pipeline, key, startMs, endMs, rule: 'window' });
}

/** Id of the decision on a record; written as {@link contentId} is. */
export function recordDecisionId(pipeline: string, key: string, message: string): string {
  const names = `"message":${JSON.stringify(message)},"pipeline":${JSON.stringify(pipeline)}`;
  return idOfText(`{"key":${JSON.stringify(key)},${names},"rule":"record"}`);
}

/** Id of an alert: of the moment from which outputs were high, so that raising and clearing share it. */
export function alertId(pipeline: string, key: string, alert: string, sinceMs: number): string {
  return idOf({ pipeline, key, alert, sinceMs, rule: 'alert' });
}
