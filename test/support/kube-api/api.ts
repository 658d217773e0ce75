import { randomUUID } from 'node:crypto';

import { ApiError } from './api-error.js';
import { setDefaults } from './defaults.js';
import { apply, managedAfterUpdate, type Manager } from './field-managers.js';
import { type Kind, type Kinds, resourceOf } from './kinds.js';
import { modelOf } from './model.js';
import { isFields, isSame, timestamp, withoutNulls, type Fields, type KubeObject } from './objects.js';
import { jsonPatch, mergePatch, strategicMerge } from './patches.js';
import type { ObjectStore } from './store.js';
import { admitPod, pruneUnknown, refuseImmutable, validate, type FieldValidation } from './validation.js';

export interface Writing {
  readonly manager: string;
  readonly validation?: FieldValidation;
  readonly dryRun?: boolean;
  readonly force?: boolean;
  readonly subresource?: 'status';
  /** Told what the API server warns of. */
  readonly warn?: (text: string) => void;
}

export type PatchType = 'json' | 'merge' | 'strategic' | 'apply';
export type Propagation = 'Background' | 'Foreground' | 'Orphan';

export interface Deleting {
  readonly propagation?: Propagation;
  readonly graceSeconds?: number;
  readonly dryRun?: boolean;
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
}

/** What the API server does with objects: admission, defaults, versions, owners of fields, deletion in steps. */
export class Api {
  readonly kinds: Kinds;
  readonly store: ObjectStore;
  /** Allots addresses and ports to Services; called before a Service is kept. */
  readonly #allot: (object: KubeObject) => void;
  /** Writes wait for each other, since validation takes turns. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(kinds: Kinds, store: ObjectStore, allot: (object: KubeObject) => void) {
    this.kinds = kinds;
    this.store = store;
    this.#allot = allot;
  }

  get(kind: Kind, namespace: string | undefined, name: string): KubeObject {
    const found = this.store.get(kind, namespace, name);
    if (found !== undefined) return found;
    throw new ApiError('NotFound', `${resourceOf(kind)} "${name}" not found`, {
      ...{ name, group: kind.group, kind: kind.plural },
    });
  }

  create(
    kind: Kind,
    namespace: string | undefined,
    given: KubeObject,
    writing: Writing,
  ): Promise<KubeObject> {
    return this.#inTurn(async () => {
      const object = this.#addressed(kind, namespace, given);
      const { name } = object.metadata;
      if (this.store.get(kind, namespace, name) !== undefined)
        throw new ApiError('AlreadyExists', `${resourceOf(kind)} "${name}" already exists`, {
          ...{ name, group: kind.group, kind: kind.plural },
        });
      return this.#keep(kind, undefined, object, writing);
    });
  }

  update(
    kind: Kind,
    namespace: string | undefined,
    given: KubeObject,
    writing: Writing,
  ): Promise<KubeObject> {
    return this.#inTurn(() => {
      const object = this.#addressed(kind, namespace, given);
      return this.#keep(kind, this.get(kind, namespace, object.metadata.name), object, writing);
    });
  }

  patch(
    kind: Kind,
    { namespace, name }: { readonly namespace: string | undefined; readonly name: string },
    type: PatchType,
    patch: unknown,
    writing: Writing,
  ): Promise<KubeObject> {
    return this.#inTurn(() => {
      if (type === 'apply') return this.#apply(kind, namespace, name, patch, writing);
      const live = this.get(kind, namespace, name);
      if (type === 'strategic' && kind.custom)
        throw new ApiError('UnsupportedMediaType', 'strategic merge patch is not for custom resources');
      const merge = { json: jsonPatch, merge: mergePatch, strategic: strategicMerge }[type];
      const merged = withoutNulls(merge(structuredClone(live), patch, modelOf(kind)));
      if (!isFields(merged)) throw new ApiError('BadRequest', 'the patch leaves no object');
      return this.#keep(kind, live, structuredClone(merged) as KubeObject, writing);
    });
  }

  /** Changes an object as controllers do: reads, changes, writes; nothing where it is gone. */
  edit(
    kind: Kind,
    { metadata }: KubeObject,
    change: (object: KubeObject) => void,
    writing: Writing,
  ): Promise<KubeObject | undefined> {
    return this.#inTurn(async () => {
      const live = this.store.get(kind, metadata.namespace, metadata.name);
      if (live === undefined || live.metadata.uid !== metadata.uid) return undefined;
      const next = structuredClone(live);
      change(next);
      return isSame(next, live) ? live : this.#keep(kind, live, next, writing);
    });
  }

  /** Deletes, or marks for deletion what has finalizers, is a pod with time to end, or a namespace. */
  delete(
    kind: Kind,
    namespace: string | undefined,
    name: string,
    deleting: Deleting = {},
  ): Promise<KubeObject> {
    return this.#inTurn(() => {
      const live = this.get(kind, namespace, name);
      const { uid, resourceVersion } = deleting.preconditions ?? {};
      if (
        (uid ?? live.metadata.uid) !== live.metadata.uid ||
        (resourceVersion ?? live.metadata.resourceVersion) !== live.metadata.resourceVersion
      )
        throw new ApiError(
          'Conflict',
          `Operation cannot be fulfilled on ${resourceOf(kind)} "${name}": precondition failed`,
        );
      const marked = marking(kind, live, deleting);
      if (deleting.dryRun === true) return marked ?? live;
      return marked === undefined ? this.store.remove(kind, live) : this.store.put(kind, marked);
    });
  }

  #inTurn<T>(work: () => T | Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  #addressed(kind: Kind, namespace: string | undefined, given: KubeObject): KubeObject {
    const object = structuredClone(withoutNulls(given));
    if (this.kinds.of(object) !== kind)
      throw new ApiError(
        'BadRequest',
        `the object is a ${object.apiVersion} ${object.kind}, not a ${kind.kind}`,
      );
    if (!isFields(object.metadata)) throw new ApiError('BadRequest', 'metadata is missing');
    const { metadata } = object;
    if (namespace !== undefined) {
      if ((metadata.namespace ?? namespace) !== namespace)
        throw new ApiError(
          'BadRequest',
          'the namespace of the provided object does not match the namespace sent on the request',
        );
      metadata.namespace = namespace;
    } else delete metadata.namespace;
    metadata.name ??= `${metadata.generateName ?? ''}${randomUUID().slice(0, 5)}`;
    return object;
  }

  #apply(
    kind: Kind,
    namespace: string | undefined,
    name: string,
    patch: unknown,
    writing: Writing,
  ): Promise<KubeObject> {
    if (!isFields(patch)) throw new ApiError('BadRequest', 'what is applied is no object');
    const applied = this.#addressed(kind, namespace, patch as KubeObject);
    if (applied.metadata.name !== name)
      throw new ApiError('BadRequest', 'the name of the object is not that of the URL');
    pruneUnknown(applied, writing.validation ?? 'Strict');
    const live = this.store.get(kind, namespace, name);
    const manager: Manager = { ...managerOf(writing), operation: 'Apply' };
    const merged = apply(kind, live, applied, manager, writing.force === true);
    return this.#keep(kind, live, merged, writing, true);
  }

  /** Admission of one write, and the write. */
  async #keep(
    kind: Kind,
    live: KubeObject | undefined,
    given: KubeObject,
    writing: Writing,
    isApplied = false,
  ): Promise<KubeObject> {
    const object = this.#shaped(kind, live, given, writing);
    const warnings = pruneUnknown(object, writing.validation ?? 'Warn');
    setDefaults(object);
    if (kind.kind === 'Service') this.#allot(object);
    await validate(kind, object);
    for (const text of [...warnings, ...this.#admitted(kind, live, object)]) writing.warn?.(text);
    if (!isApplied)
      object.metadata.managedFields = managedAfterUpdate(kind, live, object, managerOf(writing));
    if (live !== undefined) countGeneration(live, object);
    if (writing.dryRun === true) return object;
    return live !== undefined && mayGo(object)
      ? this.store.remove(kind, object)
      : this.store.put(kind, object);
  }

  /** What of a write counts: status by its subresource alone, and never what the server keeps. */
  #shaped(kind: Kind, live: KubeObject | undefined, given: KubeObject, writing: Writing): KubeObject {
    const hasStatus = kind.subresources.includes('status');
    if (live === undefined) {
      const { status, ...rest } = given;
      const object = hasStatus ? rest : { ...rest, ...(status === undefined ? {} : { status }) };
      Object.assign(object.metadata, { uid: randomUUID(), creationTimestamp: timestamp() });
      delete object.metadata.resourceVersion;
      if (hasStatus) object.metadata.generation = 1;
      return object;
    }
    const { resourceVersion = live.metadata.resourceVersion } = given.metadata;
    if (resourceVersion !== live.metadata.resourceVersion)
      throw new ApiError(
        'Conflict',
        `Operation cannot be fulfilled on ${resourceOf(kind)} "${given.metadata.name}": the object has been modified; please apply your changes to the latest version and try again`,
      );
    const shaped: Fields =
      writing.subresource === 'status'
        ? { ...live, metadata: { ...live.metadata, managedFields: given.metadata.managedFields } }
        : { ...given };
    const { status } = writing.subresource === 'status' ? given : live;
    if (hasStatus) delete shaped['status'];
    if (hasStatus && status !== undefined) shaped['status'] = status;
    const object = structuredClone(shaped) as KubeObject;
    const { uid, creationTimestamp, generation, deletionTimestamp } = live.metadata;
    Object.assign(
      object.metadata,
      withoutNulls({ uid, creationTimestamp, generation, deletionTimestamp, resourceVersion }),
    );
    return object;
  }

  #admitted(kind: Kind, live: KubeObject | undefined, object: KubeObject): readonly string[] {
    const { namespace } = object.metadata;
    if (namespace === undefined) return [];
    const home = this.store.get(this.kinds.named('Namespace'), undefined, namespace);
    if (live !== undefined) {
      refuseImmutable(live, object);
      return kind.kind === 'Pod' ? [] : admitPod(object, home);
    }
    if (home === undefined)
      throw new ApiError('NotFound', `namespaces "${namespace}" not found`, {
        name: namespace,
        kind: 'namespaces',
      });
    if (home.metadata.deletionTimestamp !== undefined)
      throw new ApiError(
        'Forbidden',
        `${resourceOf(kind)} "${object.metadata.name}" is forbidden: unable to create new content in namespace ${namespace} because it is being terminated`,
      );
    return admitPod(object, home);
  }
}

const managerOf = ({ manager, subresource }: Writing): Manager => ({
  ...{ name: manager, operation: 'Update' },
  ...(subresource === undefined ? {} : { subresource }),
});

/** The object as it is while it is being deleted; undefined where it can go at once. */
function marking(kind: Kind, live: KubeObject, deleting: Deleting): KubeObject | undefined {
  const { propagation, graceSeconds } = deleting;
  const finalizers = new Set(live.metadata.finalizers);
  if (propagation === 'Foreground') finalizers.add('foregroundDeletion');
  if (propagation === 'Orphan') finalizers.add('orphan');
  const grace = kind.kind === 'Pod' ? (graceSeconds ?? graceOf(live)) : 0;
  if (finalizers.size === 0 && grace === 0 && kind.kind !== 'Namespace') return undefined;
  const marked = structuredClone(live);
  marked.metadata.deletionTimestamp ??= timestamp(new Date(Date.now() + grace * 1_000));
  if (finalizers.size > 0) marked.metadata.finalizers = [...finalizers];
  if (kind.kind === 'Pod') marked.metadata.deletionGracePeriodSeconds = grace;
  if (kind.kind === 'Namespace') marked['status'] = { phase: 'Terminating' };
  return marked;
}

function countGeneration(before: KubeObject, after: KubeObject): void {
  if (!isSame(before['spec'], after['spec']))
    after.metadata.generation = (before.metadata.generation ?? 1) + 1;
}

/** Nobody holds it any more: no finalizer, and not the node of a pod or what is in a namespace. */
function mayGo({ kind, metadata }: KubeObject): boolean {
  const { deletionTimestamp, finalizers = [], deletionGracePeriodSeconds } = metadata;
  const isHeld = kind === 'Namespace' || (kind === 'Pod' && deletionGracePeriodSeconds !== 0);
  return deletionTimestamp !== undefined && finalizers.length === 0 && !isHeld;
}

/** A pod that no node has is gone at once. */
function graceOf(pod: KubeObject): number {
  const spec = pod['spec'] as { readonly nodeName?: string; readonly terminationGracePeriodSeconds?: number };
  return spec.nodeName === undefined ? 0 : (spec.terminationGracePeriodSeconds ?? 30);
}
