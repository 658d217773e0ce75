import type { ModelPointers, ModelRef, ModelStore, NewModel, StoredModel } from '../../serving-ports.js';
import { requirePointed, sameBytes, stillPointedAt, unknownVersion, versionInUse } from './model-rules.js';
import { verifiedModel } from './verified-model.js';

/** Model versions in memory. */
export class MemoryModels implements ModelStore {
  readonly #versions = new Map<string, StoredModel>();
  readonly #pointers = new Map<string, ModelPointers>();

  async put({ manifestBytes, signature, weights }: NewModel): Promise<ModelRef> {
    const places = { manifest: 'the manifest', weights: 'the weights' };
    const model = await verifiedModel(Uint8Array.from(manifestBytes), weights, places);
    const ref = { name: model.manifest.name, version: model.manifest.version };
    const present = this.#versions.get(keyOf(ref));
    if (present !== undefined && !sameBytes(present.manifestBytes, manifestBytes)) throw versionInUse(ref);
    if (present === undefined) this.#versions.set(keyOf(ref), { ...model, signature });
    return ref;
  }

  open(ref: ModelRef): Promise<StoredModel> {
    const found = this.#versions.get(keyOf(ref));
    if (found === undefined) return Promise.reject(unknownVersion(ref));
    return Promise.resolve({ ...found, weights: Float32Array.from(found.weights) });
  }

  list(): Promise<readonly ModelRef[]> {
    const refs = [...this.#versions.values()].map(({ manifest: { name, version } }) => ({ name, version }));
    return Promise.resolve(
      refs.sort((a, b) => (a.name === b.name ? a.version - b.version : a.name < b.name ? -1 : 1)),
    );
  }

  pointers(name: string): Promise<ModelPointers> {
    return Promise.resolve(this.#pointers.get(name) ?? {});
  }

  async point(name: string, pointers: ModelPointers): Promise<void> {
    await requirePointed(this, name, pointers);
    this.#pointers.set(name, { ...pointers });
  }

  remove(ref: ModelRef): Promise<void> {
    const { current, lastGood } = this.#pointers.get(ref.name) ?? {};
    if (current === ref.version || lastGood === ref.version) return Promise.reject(stillPointedAt(ref));
    this.#versions.delete(keyOf(ref));
    return Promise.resolve();
  }
}

const keyOf = ({ name, version }: ModelRef): string => `${name}@${String(version)}`;
