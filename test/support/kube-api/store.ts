import { ApiError } from './api-error.js';
import { resourceOf, type Kind } from './kinds.js';
import { isSame, type KubeObject } from './objects.js';

export interface ChangeEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly kind: Kind;
  readonly version: number;
  readonly object: KubeObject;
  /** What it was before; absent for one that is new. */
  readonly previous?: KubeObject;
}

type Listener = (event: ChangeEvent) => void;

/** Changes that a watch may start from. */
const HISTORY = 5_000;

const keyOf = (namespace: string | undefined, name: string): string => `${namespace ?? ''}/${name}`;

/** Objects with one count of versions, and what changed. What it gives is its own: clone before you change it. */
export class ObjectStore {
  readonly #objects = new Map<string, Map<string, KubeObject>>();
  readonly #history: ChangeEvent[] = [];
  readonly #listeners = new Set<Listener>();
  #version = 100;

  get version(): number {
    return this.#version;
  }

  get(kind: Kind, namespace: string | undefined, name: string): KubeObject | undefined {
    return this.#objects.get(resourceOf(kind))?.get(keyOf(namespace, name));
  }

  list(kind: Kind, namespace?: string): readonly KubeObject[] {
    const all = [...(this.#objects.get(resourceOf(kind))?.values() ?? [])];
    return namespace === undefined ? all : all.filter(({ metadata }) => metadata.namespace === namespace);
  }

  /** Writes an object under a new version; one that is as it was is left alone. */
  put(kind: Kind, object: KubeObject): KubeObject {
    const { namespace, name } = object.metadata;
    const previous = this.get(kind, namespace, name);
    if (previous !== undefined && isSame(object, previous)) return previous;
    const stored = this.#versioned(object);
    const resource = resourceOf(kind);
    const objects = this.#objects.get(resource) ?? new Map<string, KubeObject>();
    this.#objects.set(resource, objects.set(keyOf(namespace, name), stored));
    this.#emit({
      type: previous === undefined ? 'ADDED' : 'MODIFIED',
      ...{ kind, version: this.#version, object: stored },
      ...(previous === undefined ? {} : { previous }),
    });
    return stored;
  }

  remove(kind: Kind, object: KubeObject): KubeObject {
    const { namespace, name } = object.metadata;
    this.#objects.get(resourceOf(kind))?.delete(keyOf(namespace, name));
    const gone = this.#versioned(object);
    this.#emit({ type: 'DELETED', kind, version: this.#version, object: gone, previous: object });
    return gone;
  }

  /** Changes after a version; throws Expired where they are not kept any more. */
  since(version: number): readonly ChangeEvent[] {
    const [oldest] = this.#history;
    if (this.#history.length === HISTORY && oldest !== undefined && version < oldest.version - 1)
      throw new ApiError('Expired', `too old resource version: ${String(version)}`);
    return this.#history.filter((event) => event.version > version);
  }

  /** Calls `listener` after every change; gives what ends that. */
  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #versioned(object: KubeObject): KubeObject {
    this.#version += 1;
    const copy = structuredClone(object);
    copy.metadata.resourceVersion = String(this.#version);
    return copy;
  }

  #emit(event: ChangeEvent): void {
    this.#history.push(event);
    if (this.#history.length > HISTORY) this.#history.shift();
    for (const listener of [...this.#listeners]) listener(event);
  }
}
