import { encodeBase64 } from '@tributary/proto';
import { z } from 'zod';

import type { Random, StateStore } from '../ports.js';
import { bytesField, encodeRecord, readRecord } from './records.js';

const KEY = 'data-version-key';
const BYTES = 32;

const keySchema = z.strictObject({ key: bytesField(BYTES) });

/** The secret under which this site makes the versions of its data; made once, kept sealed, never sent. */
export async function versionKey(store: StateStore, random: Random): Promise<Uint8Array> {
  const record = await readRecord(store, KEY, keySchema);
  if (record !== undefined) return record.key;
  const key = random.bytes(BYTES);
  await store.put({ [KEY]: encodeRecord({ key: encodeBase64(key) }) });
  return key;
}
