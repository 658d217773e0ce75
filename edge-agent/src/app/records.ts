import {
  canonicalize,
  decodeBase64,
  isJsonObject,
  LIMITS,
  parseCanonical,
  requireFormat,
  TributaryError,
  type JsonObject,
} from '@tributary/proto';
import { z } from 'zod';

import type { StateStore } from '../ports.js';

/** Version of every record in the state store; a newer one is refused. */
const FORMAT_VERSION = 1;

/** A field of bytes: base64 in the record. */
export const bytesField = (length?: number) =>
  z.string().transform((text) => decodeBase64(text, 'record', length));

/** How one kind of record is read. The fields are those besides `formatVersion`. */
export type RecordSchema<T> = z.ZodType<T>;

/** The canonical bytes of a record. */
export function encodeRecord(fields: JsonObject): Uint8Array {
  return canonicalize({ ...fields, formatVersion: FORMAT_VERSION });
}

/** The record in `bytes`; throws FORMAT_UNSUPPORTED for a newer version, STORE_CORRUPT for anything else that is none. */
export function decodeRecord<T>(key: string, bytes: Uint8Array, schema: RecordSchema<T>): T {
  const value = parseCanonical(bytes, LIMITS.ledgerEntryBytes);
  if (!isJsonObject(value)) throw corrupt(key);
  const { formatVersion, ...fields } = value;
  requireFormat(formatVersion, `record ${key}`, FORMAT_VERSION);
  const parsed = schema.safeParse(fields);
  if (formatVersion !== FORMAT_VERSION || !parsed.success) throw corrupt(key);
  return parsed.data;
}

/** The record under `key`, or undefined where there is none. */
export async function readRecord<T>(
  store: StateStore,
  key: string,
  schema: RecordSchema<T>,
): Promise<T | undefined> {
  const bytes = await store.get(key);
  return bytes === undefined ? undefined : decodeRecord(key, bytes, schema);
}

function corrupt(key: string): TributaryError {
  return new TributaryError('STORE_CORRUPT', `record ${key} of the state is damaged`);
}
