import { isJsonObject, parseCanonical, type JsonObject, type JsonValue } from '../canonical-json.js';
import { TributaryError } from '../errors/tributary-error.js';
import { LIMITS } from '../limits.js';
import { requireFormat } from '../versions.js';
import { ENTRY_VERSION, type LedgerEntry } from './entry.js';
import { ENTRY_BODIES, ENTRY_TYPES } from './entry-types.js';
import { isHeadTime } from './tree-head.js';

/** An entry as an auditor sees it: of a type that it may not know, with a body that nobody has checked. */
export interface EntryOutline {
  readonly seq: number;
  readonly time: string;
  readonly actor: string;
  readonly type: string;
  readonly subject: string;
  readonly body: JsonObject;
}

/** Bodies as they are known, whatever else they hold. */
const BODIES = new Map(ENTRY_TYPES.map((type) => [type, ENTRY_BODIES[type].strip()]));

const MEMBERS = ['actor', 'body', 'seq', 'subject', 'time', 'type', 'v'].join();

/** Reads the bytes of entry `seq`. Throws EXPORT_CORRUPT, FORMAT_UNSUPPORTED where a newer version wrote it. */
export function readOutline(bytes: Uint8Array, seq: number): EntryOutline {
  const value = canonical(bytes);
  if (!isJsonObject(value) || Object.keys(value).sort().join() !== MEMBERS)
    throw corrupt('has other members than an entry');
  const { v, time, actor, type, subject, body } = value;
  requireFormat(v, 'the entry', ENTRY_VERSION);
  if (v !== ENTRY_VERSION || value['seq'] !== String(seq)) throw corrupt('says that it is another one');
  if (typeof time !== 'string' || !isHeadTime(time)) throw corrupt('has no time');
  if (typeof actor !== 'string' || typeof type !== 'string' || typeof subject !== 'string')
    throw corrupt('has no actor, type or subject');
  if (!isJsonObject(body) || !holdsIntegers(body))
    throw corrupt('has no body of texts, integers and booleans');
  return { seq, time, actor, type, subject, body };
}

/**
 * The entry, where this build knows its type; members that a later version added to its body are left out. Throws
 * EXPORT_CORRUPT where the body does not match the type.
 */
export function knownEntry(outline: EntryOutline): LedgerEntry | undefined {
  const type = ENTRY_TYPES.find((known) => known === outline.type);
  if (type === undefined) return undefined;
  const body = BODIES.get(type)?.safeParse(outline.body);
  if (body?.success !== true) throw corrupt(`has no body of ${type}`);
  // The body was parsed by the schema of this type: the pair that the compiler cannot follow.
  return { ...outline, v: ENTRY_VERSION, type, body: body.data } as LedgerEntry;
}

function canonical(bytes: Uint8Array): JsonValue {
  try {
    return parseCanonical(bytes, LIMITS.ledgerEntryBytes);
  } catch (cause) {
    throw new TributaryError('EXPORT_CORRUPT', 'the entry is not canonical JSON', { cause });
  }
}

/** Entries hold no other numbers: a verifier needs no rules for printing them. */
function holdsIntegers(value: JsonValue | undefined): boolean {
  if (typeof value === 'number') return Number.isSafeInteger(value);
  if (typeof value !== 'object' || value === null) return value !== null;
  return Object.values(value as JsonObject).every(holdsIntegers);
}

function corrupt(what: string): TributaryError {
  return new TributaryError('EXPORT_CORRUPT', `the entry ${what}`);
}
