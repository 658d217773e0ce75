import { TributaryError, type FeatureFit, type ModelManifest, type Vocabulary } from '@tributary/proto';

import type { LoadedModel, ModelRef, ModelStore, Predictor } from '../serving-ports.js';
import type { Log } from './log.js';

export interface ModelServingParts {
  readonly models: ModelStore;
  readonly predictor: Predictor;
  readonly log: Pick<Log, 'info' | 'warn'>;
  /** What this site knows of the features of a model, besides its manifest. */
  readonly site: (manifest: ModelManifest) => Promise<SiteFeatures>;
}

export interface SiteFeatures {
  readonly fit?: FeatureFit;
  readonly vocabularies: readonly Vocabulary[];
}

/** Serves the versions that the store points at, and changes from one to another between two batches. */
export class ModelServing {
  readonly #parts: ModelServingParts;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(parts: ModelServingParts) {
    this.#parts = parts;
  }

  /**
   * Serves the current version of every model in the store; of one that cannot be, the last good one. One broken model
   * keeps no other from serving: it is said in the log. Rejects where the store cannot be listed.
   */
  start(): Promise<void> {
    return this.#inTurn(async () => {
      const names = new Set((await this.#parts.models.list()).map((ref) => ref.name));
      for (const name of names) await this.#resume(name);
    });
  }

  /**
   * Makes a version of the store the one that answers: it is loaded and warmed up first, requests go to it from one
   * batch to the next, and the store points at it. Where any of that fails the version before goes on answering.
   */
  swap(ref: ModelRef): Promise<LoadedModel> {
    return this.#inTurn(async () => {
      const { models, log } = this.#parts;
      const before = await models.pointers(ref.name);
      const loaded = await this.#serve(ref);
      const lastGood = before.current === ref.version ? before.lastGood : before.current;
      await models.point(ref.name, { current: ref.version, ...(lastGood !== undefined && { lastGood }) });
      log.info({ model: ref.name, version: ref.version }, 'model version serves');
      return loaded;
    });
  }

  /** Goes back to the last good version; needs nobody else. Rejects with NOT_FOUND where there is none. */
  async rollback(name: string): Promise<LoadedModel> {
    const { lastGood } = await this.#parts.models.pointers(name);
    if (lastGood !== undefined) return this.swap({ name, version: lastGood });
    throw new TributaryError('NOT_FOUND', `no version of ${name} served here before`);
  }

  /** Versions that answer now. */
  served(): readonly ModelRef[] {
    return this.#parts.predictor
      .models()
      .filter(({ active }) => active)
      .map(({ name, version }) => ({ name, version }));
  }

  /** Lets a model go: nothing of it answers any more, and the store points at none of its versions. */
  stop(name: string): Promise<void> {
    return this.#inTurn(async () => {
      const { models, predictor } = this.#parts;
      await models.point(name, {});
      for (const loaded of predictor.models()) if (loaded.name === name) await predictor.unload(loaded);
    });
  }

  async #resume(name: string): Promise<void> {
    const { models, log } = this.#parts;
    try {
      const { current, lastGood } = await models.pointers(name);
      if (current === undefined) return;
      for (const version of new Set([current, lastGood]))
        if (version !== undefined && (await this.#tryServing({ name, version }))) return;
    } catch (error) {
      const { code, message } = TributaryError.from(error);
      log.warn({ model: name, code, detail: message }, 'a model cannot be served');
    }
  }

  async #tryServing(ref: ModelRef): Promise<boolean> {
    try {
      await this.#serve(ref);
      return true;
    } catch (error) {
      const { code, message: detail } = TributaryError.from(error);
      const fields = { model: ref.name, version: ref.version, code, detail };
      if (code !== 'SHUTTING_DOWN') this.#parts.log.warn(fields, 'a model version cannot be served');
      return false;
    }
  }

  async #serve(ref: ModelRef): Promise<LoadedModel> {
    const { predictor } = this.#parts;
    const same = (model: LoadedModel): boolean => model.name === ref.name && model.version === ref.version;
    if (!predictor.models().some(same)) await this.#load(ref);
    predictor.activate(ref);
    for (const loaded of predictor.models())
      if (loaded.name === ref.name && !same(loaded)) await predictor.unload(loaded);
    const found = predictor.models().find(same);
    if (found === undefined) throw new TributaryError('INTERNAL', 'a loaded version is not among the models');
    return found;
  }

  async #load(ref: ModelRef): Promise<void> {
    const { models, predictor, site } = this.#parts;
    const { manifest, weights } = await models.open(ref);
    // The first load has just read them; the next one is after a crash, from the store.
    let read: Float32Array | undefined = weights;
    await predictor.load({
      manifest,
      ...(await site(manifest)),
      weights: async () => {
        const taken = read ?? (await models.open(ref)).weights;
        read = undefined;
        return taken;
      },
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }
}
