import { z } from 'zod';

import {
  canonicalize,
  isJsonObject,
  parseCanonical,
  type JsonObject,
  type JsonValue,
} from '../canonical-json.js';
import { TributaryError } from '../errors/tributary-error.js';
import { LIMITS } from '../limits.js';
import { requireFormat } from '../versions.js';
import { ENTRY_BODIES, ENTRY_TYPES, type EntryBody, type EntryType } from './entry-types.js';

/** Version of the entry format; a reader refuses newer ones (FORMAT_UNSUPPORTED) and upcasts older ones. */
export const ENTRY_VERSION = 1;

/** What a decision wants recorded; the log adds version, sequence and time. */
export type NewEntry = {
  readonly [T in EntryType]: {
    readonly type: T;
    /** Pseudonymous: "context/<name>", "agent/<id>" or "coordinator". */
    readonly actor: string;
    /** What the entry is about: "job/<id>", "site/<name>", "model/<name>", "federation". */
    readonly subject: string;
    readonly body: EntryBody<T>;
  };
}[EntryType];

/** One entry of the ledger. `seq` counts from 0; `time` is RFC 3339 in UTC with milliseconds. */
export type LedgerEntry = NewEntry & { readonly v: number; readonly seq: number; readonly time: string };

/** Entries of some types only. */
export type EntryOf<T extends EntryType> = Extract<LedgerEntry, { readonly type: T }>;

/** The canonical bytes of an entry: what is stored, hashed, proved and sent. `seq` is written as a string. */
export function encodeEntry(entry: LedgerEntry): Uint8Array {
  const { v, seq, time, actor, type, subject, body } = entry;
  const bytes = canonicalize({ v, seq: String(seq), time, actor, type, subject, body });
  if (bytes.length > LIMITS.ledgerEntryBytes) {
    throw new TributaryError(
      'LIMIT_EXCEEDED',
      `a ledger entry has at most ${String(LIMITS.ledgerEntryBytes)} bytes`,
      { fields: { type } },
    );
  }
  return bytes;
}

/** Everything but the body, whose schema depends on the type. */
const outline = z.strictObject({
  v: z.literal(ENTRY_VERSION),
  seq: z
    .string()
    .regex(/^(0|[1-9][0-9]{0,15})$/)
    .transform(Number)
    .refine(Number.isSafeInteger),
  time: z.iso.datetime({ precision: 3 }),
  actor: z.string(),
  type: z.enum(ENTRY_TYPES),
  subject: z.string(),
  body: z.unknown(),
});

/** Reads the canonical bytes of an entry; throws FORMAT_UNSUPPORTED for a newer version, STORE_CORRUPT otherwise. */
export function decodeEntry(bytes: Uint8Array): LedgerEntry {
  const value = readObject(bytes);
  requireFormat(value['v'], 'the ledger entry', ENTRY_VERSION);
  const entry = outline.safeParse(value);
  if (!entry.success) throw corrupt(entry.error.issues[0]?.path.map(String).join('.') ?? '');
  const body = ENTRY_BODIES[entry.data.type].safeParse(entry.data.body);
  if (!body.success)
    throw corrupt(`body of ${entry.data.type}: ${body.error.issues[0]?.path.map(String).join('.') ?? ''}`);
  // The body was parsed by the schema of this type: the pair that the compiler cannot follow.
  return { ...entry.data, body: body.data } as LedgerEntry;
}

function readObject(bytes: Uint8Array): JsonObject {
  let value: JsonValue;
  try {
    value = parseCanonical(bytes, LIMITS.ledgerEntryBytes);
  } catch (cause) {
    throw new TributaryError('STORE_CORRUPT', 'not a ledger entry: not canonical JSON within the limit', {
      cause,
    });
  }
  if (!isJsonObject(value)) throw corrupt('not an object');
  return value;
}

function corrupt(what: string): TributaryError {
  return new TributaryError('STORE_CORRUPT', `not a ledger entry: ${what}`);
}
