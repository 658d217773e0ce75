import type { StateStore } from '../../ports.js';
import type { KeyRecord, StreamStateStore } from '../../streams-ports.js';

/** The keys of pipelines in a store of their own, so that nothing else waits for its writes. */
export class StreamStates implements StreamStateStore {
  readonly #store: StateStore;

  constructor(store: StateStore) {
    this.#store = store;
  }

  async *read(pipeline: string): AsyncGenerator<KeyRecord, void, undefined> {
    const prefix = prefixOf(pipeline);
    for await (const { key, value } of this.#store.list(prefix))
      yield { key: decodeURIComponent(key.slice(prefix.length)), state: value };
  }

  write(pipeline: string, changes: readonly KeyRecord[]): Promise<void> {
    const prefix = prefixOf(pipeline);
    // Keys of streams hold any letters, which sort otherwise than the store lists.
    const named = changes.map(({ key, state }) => [prefix + encodeURIComponent(key), state] as const);
    return this.#store.put(Object.fromEntries(named));
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}

const prefixOf = (pipeline: string): string => `${pipeline}/`;
