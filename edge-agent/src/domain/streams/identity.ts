import { canonicalize, encodeHex, sha256, type JsonValue } from '@tributary/proto';

/** Hex digits of an id: 128 bits, so that none of any number of decisions of a site share one. */
const ID_DIGITS = 32;

/** The first 32 hex digits of the SHA-256 (FIPS 180-4) of the canonical JSON (RFC 8785) of what makes something itself. */
export function idOf(value: JsonValue): string {
  return encodeHex(sha256(canonicalize(value))).slice(0, ID_DIGITS);
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

/** Id of the decision on a record. */
export function recordDecisionId(pipeline: string, key: string, message: string): string {
  return idOf({ pipeline, key, message, rule: 'record' });
}

/** Id of an alert: of the moment from which outputs were high, so that raising and clearing share it. */
export function alertId(pipeline: string, key: string, alert: string, sinceMs: number): string {
  return idOf({ pipeline, key, alert, sinceMs, rule: 'alert' });
}
