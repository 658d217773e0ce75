import { ApiError } from './api-error.js';
import { entryType, fieldType, listMerge } from './model.js';
import { isFields, isSame, type Fields } from './objects.js';

/** JSON merge patch (RFC 7396). */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isFields(patch)) return patch;
  const merged: Fields = isFields(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else merged[key] = mergePatch(merged[key], value);
  }
  return merged;
}

interface Operation {
  readonly op: string;
  readonly path: string;
  readonly from?: string;
  readonly value?: unknown;
}

/** JSON patch (RFC 6902). Throws Invalid where a path or a test does not hold. */
export function jsonPatch(target: unknown, operations: unknown): unknown {
  if (!Array.isArray(operations)) throw new ApiError('BadRequest', 'a JSON patch is a list');
  return (operations as readonly Operation[]).reduce(oneOperation, structuredClone(target));
}

function oneOperation(document: unknown, { op, path, from = '', value }: Operation): unknown {
  switch (op) {
    case 'add':
    case 'replace':
      return placed(document, path, value, op);
    case 'remove':
      return removed(document, path);
    case 'test':
      if (isSame(at(document, path), value)) return document;
      throw new ApiError(
        'Invalid',
        `the server rejected our request due to an error in our request: test of ${path}`,
      );
    case 'copy':
      return placed(document, path, structuredClone(at(document, from)), 'add');
    case 'move': {
      const moved = at(document, from);
      return placed(removed(document, from), path, moved, 'add');
    }
    default:
      throw new ApiError('BadRequest', `JSON patch: unknown op ${op}`);
  }
}

const stepsOf = (pointer: string): readonly string[] =>
  pointer === ''
    ? []
    : pointer
        .slice(1)
        .split('/')
        .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));

function at(document: unknown, pointer: string): unknown {
  return stepsOf(pointer).reduce<unknown>((value, step) => {
    const found = Array.isArray(value)
      ? (value[Number(step)] as unknown)
      : isFields(value)
        ? value[step]
        : undefined;
    if (found === undefined) throw new ApiError('Invalid', `JSON patch: nothing at ${pointer}`);
    return found;
  }, document);
}

function parentOf(document: unknown, pointer: string): readonly [unknown, string] {
  const steps = stepsOf(pointer);
  const cut = pointer.lastIndexOf('/');
  return [at(document, pointer.slice(0, cut)), steps.at(-1) ?? ''];
}

function placed(document: unknown, pointer: string, value: unknown, op: 'add' | 'replace'): unknown {
  if (pointer === '') return value;
  if (op === 'replace') at(document, pointer);
  const [parent, key] = parentOf(document, pointer);
  if (Array.isArray(parent)) {
    const index = key === '-' ? parent.length : Number(key);
    parent.splice(index, op === 'add' ? 0 : 1, value);
  } else if (isFields(parent)) parent[key] = value;
  return document;
}

function removed(document: unknown, pointer: string): unknown {
  at(document, pointer);
  const [parent, key] = parentOf(document, pointer);
  if (Array.isArray(parent)) parent.splice(Number(key), 1);
  else if (isFields(parent)) Reflect.deleteProperty(parent, key);
  return document;
}

const SET_ORDER = '$setElementOrder/';
const FROM_PRIMITIVES = '$deleteFromPrimitiveList/';

/**
 * Strategic merge patch: as JSON merge patch, but lists with a merge key are merged by it, with the directives $patch,
 * $retainKeys, $setElementOrder and $deleteFromPrimitiveList (sig-api-machinery, "strategic-merge-patch").
 */
export function strategicMerge(target: unknown, patch: unknown, type: string): unknown {
  if (!isFields(patch)) return patch;
  if (patch['$patch'] === 'replace') return plain(patch);
  const merged: Fields = isFields(target) ? { ...target } : {};
  const retained = patch['$retainKeys'];
  if (Array.isArray(retained))
    for (const key of Object.keys(merged)) if (!retained.includes(key)) Reflect.deleteProperty(merged, key);
  for (const [key, value] of Object.entries(patch)) {
    if (key.startsWith(FROM_PRIMITIVES)) without(merged, key.slice(FROM_PRIMITIVES.length), value);
    else if (!key.startsWith('$')) mergeField(merged, key, value, type);
  }
  for (const [key, order] of Object.entries(patch))
    if (key.startsWith(SET_ORDER)) reorder(merged, key.slice(SET_ORDER.length), order, type);
  return merged;
}

function mergeField(merged: Fields, key: string, value: unknown, type: string): void {
  if (value === null || (isFields(value) && value['$patch'] === 'delete'))
    Reflect.deleteProperty(merged, key);
  else if (Array.isArray(value)) merged[key] = mergeList(merged[key], value, type, key);
  else merged[key] = strategicMerge(merged[key], value, fieldType(type, key));
}

function mergeList(
  target: unknown,
  patch: readonly unknown[],
  type: string,
  name: string,
): readonly unknown[] {
  const merge = listMerge(type, name);
  const replacing = patch.some((entry) => isFields(entry) && entry['$patch'] === 'replace');
  const kept = patch.filter((entry) => !isFields(entry) || entry['$patch'] !== 'replace').map(plain);
  if (merge === undefined || replacing || !Array.isArray(target))
    return kept.filter((entry) => !isDeletion(entry));
  const { mergeKey } = merge;
  if (mergeKey === undefined) return [...new Set([...(target as readonly unknown[]), ...patch])];
  const of = entryType(fieldType(type, name)) ?? '*';
  return patch.reduce<readonly unknown[]>(
    (entries, change) => {
      const index = entries.findIndex(
        (entry) => isFields(entry) && isFields(change) && entry[mergeKey] === change[mergeKey],
      );
      if (isDeletion(change)) return entries.filter((_, position) => position !== index);
      const next = strategicMerge(entries[index], change, of);
      return index < 0 ? [...entries, next] : entries.with(index, next);
    },
    target as readonly unknown[],
  );
}

const isDeletion = (entry: unknown): boolean => isFields(entry) && entry['$patch'] === 'delete';

/** Without directives, for what is new. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (!isFields(value) || isDeletion(value)) return value;
  const kept = Object.entries(value).filter(([key, entry]) => !key.startsWith('$') && entry !== null);
  return Object.fromEntries(kept.map(([key, entry]) => [key, plain(entry)]));
}

function without(merged: Fields, key: string, values: unknown): void {
  const list = merged[key];
  if (Array.isArray(list) && Array.isArray(values))
    merged[key] = list.filter((entry) => !values.includes(entry));
}

/** Entries that the order names come in its order; the others stay behind those they followed. */
function reorder(merged: Fields, key: string, order: unknown, type: string): void {
  const list = merged[key];
  if (!Array.isArray(list) || !Array.isArray(order)) return;
  const mergeKey = listMerge(type, key)?.mergeKey;
  const identity = (entry: unknown): unknown =>
    mergeKey !== undefined && isFields(entry) ? entry[mergeKey] : entry;
  const positions = new Map(order.map((entry, index) => [identity(entry), index]));
  const named = list
    .filter((entry) => positions.has(identity(entry)))
    .sort(
      (one, other) => (positions.get(identity(one)) ?? 0) - (positions.get(identity(other)) ?? 0),
    ) as unknown[];
  merged[key] = (list as readonly unknown[]).map((entry) =>
    positions.has(identity(entry)) ? named.shift() : entry,
  );
}
