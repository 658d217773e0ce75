import { ApiError } from '../api-error.js';
import type { Api } from '../api.js';
import type { KubeObject } from '../objects.js';

/** Brings what is a step nearer to what is wanted; called again after every change, so it looks at all there is. */
export type Controller = (api: Api) => Promise<void> | void;

/** Does the work for each object: a refusal of one is no matter of the others, and the next change tries again. */
export async function forEach(
  objects: readonly KubeObject[],
  work: (object: KubeObject) => Promise<void>,
): Promise<void> {
  for (const object of objects) {
    try {
      await work(object);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
    }
  }
}

/** Runs controllers, one pass after the other, as long as anything changes. */
export class ControlLoop {
  readonly #api: Api;
  readonly #controllers: readonly Controller[];
  readonly #unsubscribe: () => void;
  #dirty = true;
  #running: Promise<void> | undefined;
  #closed = false;

  constructor(api: Api, controllers: readonly Controller[]) {
    this.#api = api;
    this.#controllers = controllers;
    this.#unsubscribe = api.store.subscribe(() => this.wake());
    this.wake();
  }

  wake(): void {
    this.#dirty = true;
    this.#running ??= this.#run().finally(() => (this.#running = undefined));
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#unsubscribe();
    await this.#running;
  }

  async #run(): Promise<void> {
    await Promise.resolve();
    while (this.#dirty && !this.#closed) {
      this.#dirty = false;
      for (const controller of this.#controllers) await this.#step(controller);
    }
  }

  async #step(controller: Controller): Promise<void> {
    try {
      await controller(this.#api);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
    }
  }
}
