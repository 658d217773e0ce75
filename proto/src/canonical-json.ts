import { TributaryError } from './errors/tributary-error.js';
import { LIMITS } from './limits.js';

/** Values that canonical JSON can hold (RFC 8785): I-JSON, that is finite numbers and well-formed text. */
export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject;

/** Members that are undefined are left out, as JSON.stringify does: optional fields need no special care. */
export interface JsonObject {
  readonly [key: string]: JsonValue | undefined;
}

/**
 * UTF-8 bytes of the RFC 8785 serialisation of `value`. Throws INVALID_ARGUMENT for values outside I-JSON
 * (non-finite numbers, lone surrogates, functions), and LIMIT_EXCEEDED for nesting above LIMITS.jsonDepth.
 */
export function canonicalize(value: JsonValue): Uint8Array {
  return new TextEncoder().encode(serialize(value, 0));
}

/** The text whose UTF-8 bytes {@link canonicalize} gives. */
export function canonicalText(value: JsonValue): string {
  return serialize(value, 0);
}

/**
 * Parses bytes that must be canonical: anything that does not serialise to the same bytes again (spaces, key order,
 * duplicate keys, other number forms, invalid UTF-8) throws INVALID_ARGUMENT; more than `limit` bytes LIMIT_EXCEEDED.
 */
export function parseCanonical(bytes: Uint8Array, limit: number): JsonValue {
  if (bytes.length > limit)
    throw new TributaryError('LIMIT_EXCEEDED', `canonical JSON of at most ${String(limit)} bytes`);
  let value: JsonValue;
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    value = JSON.parse(text) as JsonValue;
  } catch (cause) {
    throw new TributaryError('INVALID_ARGUMENT', 'not JSON in UTF-8', { cause });
  }
  if (serialize(value, 0) !== text)
    throw new TributaryError('INVALID_ARGUMENT', 'JSON, but not canonical (RFC 8785)');
  return value;
}

function serialize(value: JsonValue, depth: number): string {
  if (depth > LIMITS.jsonDepth)
    throw new TributaryError('LIMIT_EXCEEDED', `JSON nested deeper than ${String(LIMITS.jsonDepth)}`);
  switch (typeof value) {
    case 'string':
      return quote(value);
    case 'number':
      if (!Number.isFinite(value))
        throw new TributaryError('INVALID_ARGUMENT', 'JSON holds no NaN or infinity');
      return JSON.stringify(value);
    case 'boolean':
      return value ? 'true' : 'false';
    case 'object':
      return value === null ? 'null' : serializeComposite(value, depth);
    default:
      throw new TributaryError('INVALID_ARGUMENT', `JSON holds no ${typeof value}`);
  }
}

function serializeComposite(value: readonly JsonValue[] | JsonObject, depth: number): string {
  if (!isJsonObject(value)) return `[${Array.from(value, (item) => serialize(item, depth + 1)).join(',')}]`;
  // RFC 8785, 3.2.3: keys sort by UTF-16 code units, which is the default order of JavaScript strings.
  const members = Object.keys(value)
    .filter((key) => value[key] !== undefined)
    .sort()
    .map((key) => `${quote(key)}:${serialize(value[key] as JsonValue, depth + 1)}`);
  return `{${members.join(',')}}`;
}

/** True for a JSON object: not null, not an array. */
export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function quote(text: string): string {
  if (!text.isWellFormed()) throw new TributaryError('INVALID_ARGUMENT', 'JSON text with a lone surrogate');
  return JSON.stringify(text);
}
