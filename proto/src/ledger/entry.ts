import { canonicalize, isJsonObject, parseCanonical, type JsonObject, type JsonValue } from '../canonical-json.js';
import { TributaryError } from '../errors/tributary-error.js';
import { LIMITS } from '../limits.js';
import { ENTRY_BODIES, type EntryBody, type EntryType } from './entry-types.js';

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

/** The canonical bytes of an entry: what is stored, hashed, proved and sent. `seq` is written as a string. */
export function encodeEntry(entry: LedgerEntry): Uint8Array {
  const { v, seq, time, actor, type, subject, body } = entry;
  const bytes = canonicalize({ v, seq: String(seq), time, actor, type, subject, body });
  if (bytes.length > LIMITS.ledgerEntryBytes) {
    throw new TributaryError('LIMIT_EXCEEDED', `a ledger entry has at most ${String(LIMITS.ledgerEntryBytes)} bytes`, { fields: { type } });
  }
  return bytes;
}

/** Reads the canonical bytes of an entry; throws FORMAT_UNSUPPORTED for a newer version, STORE_CORRUPT otherwise. */
export function decodeEntry(bytes: Uint8Array): LedgerEntry {
  const value = readObject(bytes);
  const { v, seq, time, actor, type, subject, body, ...rest } = value;
  if (typeof v !== 'number') throw corrupt('v');
  if (v > ENTRY_VERSION) {
    throw new TributaryError('FORMAT_UNSUPPORTED', `ledger entry of version ${String(v)}; this build reads ${String(ENTRY_VERSION)}`);
  }
  if (Object.keys(rest).length > 0) throw corrupt(`unknown field ${String(Object.keys(rest)[0])}`);
  if (typeof seq !== 'string' || !/^(0|[1-9][0-9]{0,15})$/.test(seq) || !Number.isSafeInteger(Number(seq))) throw corrupt('seq');
  if (typeof time !== 'string' || typeof actor !== 'string' || typeof subject !== 'string') throw corrupt('time, actor or subject');
  if (typeof type !== 'string' || !Object.hasOwn(ENTRY_BODIES, type)) throw corrupt(`type ${String(type)}`);
  const parsed = ENTRY_BODIES[type as EntryType].safeParse(body);
  if (!parsed.success) throw corrupt(`body of ${type}: ${parsed.error.issues[0]?.path.join('.') ?? ''}`);
  return { v, seq: Number(seq), time, actor, type, subject, body: parsed.data } as LedgerEntry;
}

function readObject(bytes: Uint8Array): JsonObject {
  let value: JsonValue;
  try {
    value = parseCanonical(bytes, LIMITS.ledgerEntryBytes);
  } catch (cause) {
    throw new TributaryError('STORE_CORRUPT', 'not a ledger entry: not canonical JSON within the limit', { cause });
  }
  if (!isJsonObject(value)) throw corrupt('not an object');
  return value;
}

function corrupt(what: string): TributaryError {
  return new TributaryError('STORE_CORRUPT', `not a ledger entry: ${what}`);
}
