import {
  isJsonObject,
  LIMITS,
  parseCanonical,
  TributaryError,
  type JsonObject,
  type JsonValue,
} from '@tributary/proto';
import type { ObjectMessage__Output } from '@tributary/proto/grpc';

/** An object as the coordinator shows it: the applied document with its status. */
export interface ShownObject {
  readonly kind: string;
  readonly name: string;
  readonly seq: string;
  readonly document: JsonObject;
}

/** Reads the document inside an answer; throws INVALID_ARGUMENT where the server sent something else. */
export function readObject(message: ObjectMessage__Output | null): ShownObject {
  if (message === null) throw new TributaryError('INVALID_ARGUMENT', 'the server answered without an object');
  const document = parseCanonical(message.document, LIMITS.grpcMessageBytes);
  if (!isJsonObject(document))
    throw new TributaryError('INVALID_ARGUMENT', 'the server answered with something that is not an object');
  return { kind: message.kind, name: message.name, seq: message.seq, document };
}

/** The value at a path of a document, e.g. field(document, 'status', 'sites', 'selected'). */
export function field(value: JsonValue | undefined, ...path: readonly string[]): JsonValue | undefined {
  let current = value;
  for (const name of path) current = isJsonObject(current) ? current[name] : undefined;
  return current;
}

/** Text of a scalar at a path; `absent` where there is none. */
export function text(value: JsonValue | undefined, path: readonly string[], absent = '-'): string {
  const found = field(value, ...path);
  return typeof found === 'string' || typeof found === 'number' || typeof found === 'boolean'
    ? String(found)
    : absent;
}

export function list(value: JsonValue | undefined, ...path: readonly string[]): readonly JsonValue[] {
  const found = field(value, ...path);
  return Array.isArray(found) ? (found as readonly JsonValue[]) : [];
}

/** Status of a condition ("True", "False", "Unknown"), or undefined where the object does not have it. */
export function conditionStatus(document: JsonObject, type: string): string | undefined {
  return conditionText(document, type, 'status');
}

/** Any text of a condition: its status, reason or message; undefined where the object does not have the condition. */
export function conditionText(
  document: JsonObject,
  type: string,
  name: 'status' | 'reason' | 'message',
): string | undefined {
  const found = list(document, 'status', 'conditions').find(
    (condition) => text(condition, ['type']).toLowerCase() === type.toLowerCase(),
  );
  return found === undefined ? undefined : text(found, [name]);
}
