import type { InboundMessage } from '@tributary/edge-agent/internal/streams-ports.js';

import { CATEGORIES, COLUMNS, DEVICES, FIRST_MS } from './stream-model.js';

const RECORD_BYTES = 256;
/** Different records; only their times differ beyond. */
const VARIANTS = 1_024;
const TIME_AT = '{"t":'.length;

const templates = Array.from({ length: VARIANTS }, (_, variant) => {
  const columns = Array.from(
    { length: COLUMNS },
    (__, index) => `"f${String(index)}":${String((variant * (index + 1)) % CATEGORIES)}`,
  );
  const text = `{"t":${String(FIRST_MS)},${columns.join(',')}`;
  return Buffer.from(`${text},"pad":"${'x'.repeat(RECORD_BYTES - text.length - '"pad":"",}'.length)}"}`);
});

/** A record of 256 bytes of JSON: its time, by which its result is known, and categories for a model. */
export function jsonRecord(sequence: number): Uint8Array {
  const payload = Buffer.from(templates[sequence % VARIANTS] ?? '');
  payload.write(String(FIRST_MS + sequence), TIME_AT, 'latin1');
  return payload;
}

/** The record on the topic of its device. */
export const deviceRecord = (sequence: number): { readonly topic: string; readonly payload: Uint8Array } => ({
  topic: `bench/in/${String(sequence % DEVICES)}`,
  payload: jsonRecord(sequence),
});

/** The record that a result answers, by the time at which its window begins. */
export const sequenceOfResult = (result: InboundMessage): number =>
  Number(textOf(result, /"startMs":(\d+)/)) - FIRST_MS;

export const decisionIdOf = (result: InboundMessage): string => textOf(result, /"decisionId":"([^"]+)"/);

function textOf({ payload }: InboundMessage, pattern: RegExp): string {
  return pattern.exec(Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString())?.[1] ?? '';
}
