import { canonicalText, isJsonObject, type JsonObject, type JsonValue } from '../canonical-json.js';
import { TributaryError } from '../errors/tributary-error.js';
import type { FederatedJob, FederatedJobSpec } from './federated-job.js';
import { pathText, problemError, type Path } from './problem.js';

/** Fields of `spec` that may change after apply. The author's signature does not cover them: operators set them. */
export const MUTABLE_FIELDS = ['suspend', 'activeDeadlineSeconds', 'ttlSecondsAfterFinished'] as const;

export type MutableField = (typeof MUTABLE_FIELDS)[number];
export type MutableChanges = Partial<Pick<FederatedJobSpec, MutableField>>;

/**
 * What a signature covers: {apiVersion, kind, metadata: {name}, spec without MUTABLE_FIELDS}, all as written in
 * `document`. Give it the document as it was signed and stored, not a later parse of it: a newer version may know more
 * defaults than the author's did. Throws DOCUMENT_INVALID where these members are not there.
 */
export function documentIdentity(document: JsonObject): JsonObject {
  const { apiVersion, kind, metadata, spec } = document;
  if (typeof apiVersion !== 'string' || typeof kind !== 'string') throw malformed(['kind']);
  if (!isJsonObject(metadata) || typeof metadata['name'] !== 'string') throw malformed(['metadata', 'name']);
  if (!isJsonObject(spec)) throw malformed(['spec']);
  const mutable: readonly string[] = MUTABLE_FIELDS;
  const kept = Object.entries(spec).filter(([field]) => !mutable.includes(field));
  return { apiVersion, kind, metadata: { name: metadata['name'] }, spec: Object.fromEntries(kept) };
}

/**
 * The mutable fields in which `next` differs from `current`, with their new values; an empty object where nothing
 * changed. Throws IMMUTABLE_FIELD naming the path of anything else that differs. Both are results of parseDocument.
 */
export function diffMutable(current: FederatedJob, next: FederatedJob): MutableChanges {
  for (const field of ['apiVersion', 'kind', 'metadata'] as const)
    refuseChange([field], current[field], next[field]);
  const mutable: readonly string[] = MUTABLE_FIELDS;
  for (const [field, value] of Object.entries(current.spec)) {
    if (!mutable.includes(field))
      refuseChange(['spec', field], value, next.spec[field as keyof FederatedJobSpec]);
  }
  const changed = MUTABLE_FIELDS.filter((field) => current.spec[field] !== next.spec[field]);
  return Object.fromEntries(changed.map((field) => [field, next.spec[field]]));
}

/** Throws IMMUTABLE_FIELD with the path of the first difference at or below `path`. */
function refuseChange(path: Path, current: JsonValue | undefined, next: JsonValue | undefined): void {
  if (isJsonObject(current) && isJsonObject(next)) {
    for (const key of new Set([...Object.keys(current), ...Object.keys(next)])) {
      refuseChange([...path, key], current[key], next[key]);
    }
  } else if (Array.isArray(current) && Array.isArray(next) && current.length === next.length) {
    for (const [index, item] of current.entries())
      refuseChange([...path, index], item as JsonValue, next[index] as JsonValue);
  } else if (canonicalText({ value: current }) !== canonicalText({ value: next })) {
    throw new TributaryError(
      'IMMUTABLE_FIELD',
      `${pathText(path)}: may not change after apply; use another metadata.name`,
      {
        fields: { path: pathText(path) },
      },
    );
  }
}

function malformed(path: Path): TributaryError {
  return problemError('DOCUMENT_INVALID', [
    { path, what: 'is missing or of the wrong form', fix: 'correct it' },
  ]);
}
