import { ApiError } from './api-error.js';
import { FieldSet, overlay, removeAt, valueAt, type Path } from './field-sets.js';
import { apiVersionOf, type Kind } from './kinds.js';
import { modelOf } from './model.js';
import { isSame, timestamp, type Fields, type KubeObject, type ManagedFields } from './objects.js';

/** Fields that belong to nobody: what names the object, and what the server keeps. */
const NOBODYS = [
  'name',
  'namespace',
  'uid',
  'resourceVersion',
  'generation',
  'creationTimestamp',
  'deletionTimestamp',
];
const NOBODYS_METADATA = new Set([
  ...NOBODYS,
  'deletionGracePeriodSeconds',
  'managedFields',
  'generateName',
  'selfLink',
]);

const isOwnable = ([first, second = '']: Path): boolean =>
  first !== 'f:apiVersion' &&
  first !== 'f:kind' &&
  !(first === 'f:metadata' && NOBODYS_METADATA.has(second.slice(2)));

const ownableFields = (object: unknown, kind: Kind): FieldSet =>
  FieldSet.ofValue(object, modelOf(kind)).filter(isOwnable);

export interface Manager {
  readonly name: string;
  readonly operation: 'Apply' | 'Update';
  readonly subresource?: string;
}

const isEntryOf = (entry: ManagedFields, manager: Manager): boolean =>
  entry.manager === manager.name &&
  entry.operation === manager.operation &&
  entry.subresource === manager.subresource;

function entryFor(manager: Manager, kind: Kind, fields: FieldSet): ManagedFields {
  return {
    ...{ manager: manager.name, operation: manager.operation, apiVersion: apiVersionOf(kind) },
    ...{ time: timestamp(), fieldsType: 'FieldsV1', fieldsV1: fields.tree() },
    ...(manager.subresource === undefined ? {} : { subresource: manager.subresource }),
  };
}

/** The entries after `change`, without those that own nothing any more; times of the others stay. */
function changed(entries: readonly ManagedFields[], change: (fields: FieldSet) => FieldSet): ManagedFields[] {
  return entries.flatMap((entry) => {
    const before = FieldSet.parse(entry.fieldsV1);
    const after = change(before);
    if (after.isEmpty) return [];
    return [before.minus(after).isEmpty ? entry : { ...entry, fieldsV1: after.tree() }];
  });
}

/** Who owns what after a write that is no apply: the writer has what is new or another value, and nobody what is gone. */
export function managedAfterUpdate(
  kind: Kind,
  before: KubeObject | undefined,
  after: KubeObject,
  manager: Manager,
): ManagedFields[] {
  const fields = ownableFields(after, kind);
  const written = fields.filter((path) => !isSame(valueAt(before, path), valueAt(after, path)));
  const entries = after.metadata.managedFields ?? [];
  const own = entries.find((entry) => isEntryOf(entry, manager));
  const others = changed(
    entries.filter((entry) => entry !== own),
    (owned) => owned.minus(written).filter((path) => fields.has(path)),
  );
  const kept =
    own === undefined ? FieldSet.of([]) : FieldSet.parse(own.fieldsV1).filter((path) => fields.has(path));
  const all = kept.plus(written);
  if (all.isEmpty) return others;
  const isUnchanged = own !== undefined && written.isEmpty && FieldSet.parse(own.fieldsV1).minus(all).isEmpty;
  return [...others, isUnchanged ? own : entryFor(manager, kind, all)];
}

/**
 * Server-side apply (KEP-555): lays `applied` over the object, takes away what this manager applied before and no longer
 * names, and refuses with Conflict what others own with another value, unless forced.
 */
export function apply(
  kind: Kind,
  live: KubeObject | undefined,
  applied: KubeObject,
  manager: Manager,
  force: boolean,
): KubeObject {
  const fields = ownableFields(applied, kind);
  const entries = live?.metadata.managedFields ?? [];
  const own = entries.find((entry) => isEntryOf(entry, manager));
  const others = entries.filter((entry) => entry !== own);
  const isContested = (path: Path): boolean =>
    fields.has(path) &&
    !path.at(-1)?.startsWith('k:') &&
    !isSame(valueAt(live, path), valueAt(applied, path));
  if (!force) refuseConflicts(others, isContested, kind, applied);
  const remaining = changed(others, (owned) => owned.filter((path) => !isContested(path)));
  const merged = structuredClone(overlay(live ?? {}, applied, modelOf(kind))) as KubeObject;
  const held = remaining.reduce((set, entry) => set.plus(FieldSet.parse(entry.fieldsV1)), FieldSet.of([]));
  const dropped =
    own === undefined ? FieldSet.of([]) : FieldSet.parse(own.fieldsV1).minus(fields).minus(held);
  // Entries of lists before their fields, longest paths first: what is gone with its entry is gone.
  for (const path of [...dropped.paths].sort((one, other) => other.length - one.length))
    removeAt(merged, path);
  const isUnchanged = own !== undefined && isSame(FieldSet.parse(own.fieldsV1).tree(), fields.tree());
  merged.metadata.managedFields = [...remaining, isUnchanged ? own : entryFor(manager, kind, fields)];
  return merged;
}

function refuseConflicts(
  others: readonly ManagedFields[],
  isContested: (path: Path) => boolean,
  kind: Kind,
  applied: KubeObject,
): void {
  const causes = others.flatMap((entry) =>
    FieldSet.parse(entry.fieldsV1)
      .paths.filter(isContested)
      .map((path): Fields => {
        const by = `conflict with "${entry.manager}"${entry.operation === 'Update' ? ' using ' + entry.apiVersion : ''}`;
        return { reason: 'FieldManagerConflict', message: by, field: spelled(path) };
      }),
  );
  if (causes.length === 0) return;
  const words = causes.map(({ message, field }) => `${String(message)}: ${String(field)}`).join(', ');
  const plural = causes.length === 1 ? 'conflict' : 'conflicts';
  throw new ApiError('Conflict', `Apply failed with ${String(causes.length)} ${plural}: ${words}`, {
    ...{ name: applied.metadata.name, kind: kind.kind, causes },
  });
}

const spelled = (path: Path): string =>
  path.map((step) => (step.startsWith('f:') ? `.${step.slice(2)}` : `[${step.slice(2)}]`)).join('');
