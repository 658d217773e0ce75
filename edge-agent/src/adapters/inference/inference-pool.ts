import { TributaryError } from '@tributary/proto';

import { InferenceHost, type InferenceHostOptions, type Recipe } from './inference-host.js';
import { WorkerLost } from './inference-worker.js';

export interface InferencePoolOptions extends Omit<InferenceHostOptions, 'onUp' | 'onDown'> {
  /** A worker is there again, with its networks. */
  readonly onUp: () => void;
  /** The worker of networks died so often in a row; it is tried again. */
  readonly onDown: (keys: ReadonlySet<string>, times: number) => void;
}

/** Workers that stay: one answers while the other makes the next version ready, or answers for other models. */
const WORKERS = 2;

/**
 * Networks in workers, so that nothing that answers waits while another network is built and warmed up. A network is
 * built in a worker that has none yet. Where there is no such worker a new one takes over all networks of the one with
 * the fewest, and the new network, before that one ends.
 */
export class InferencePool {
  readonly #options: InferencePoolOptions;
  readonly #hosts = new Set<InferenceHost>();
  readonly #places = new Map<string, InferenceHost>();
  #turn: Promise<unknown> = Promise.resolve();
  #endedRestarts = 0;
  #closed = false;

  constructor(options: InferencePoolOptions) {
    this.#options = options;
  }

  /** True where the worker of a network is there. */
  isUp(key: string): boolean {
    return this.#places.get(key)?.up === true;
  }

  /** Times that workers were replaced because they died. */
  get restarts(): number {
    let restarts = this.#endedRestarts;
    for (const host of this.#hosts) restarts += host.restarts;
    return restarts;
  }

  /** Builds a network and warms it up; resolves with its backend. Others answer meanwhile. */
  build(key: string, recipe: Recipe): Promise<string> {
    return this.#inTurn(async () => {
      if (this.#closed) throw new TributaryError('SHUTTING_DOWN', 'predictions have ended');
      const host = this.#freeHost();
      if (host === undefined) return this.#buildCrowded(key, recipe);
      const backend = await host.build(key, recipe);
      this.#places.set(key, host);
      return backend;
    });
  }

  /** Scores of encoded rows. Rejects with WorkerLost where it may be tried again. `inputs` goes over to the worker. */
  score(key: string, inputs: Float32Array): Promise<Float32Array> {
    const host = this.#places.get(key);
    return host === undefined ? Promise.reject(new WorkerLost()) : host.score(key, inputs);
  }

  drop(key: string): Promise<void> {
    return this.#inTurn(async () => {
      const host = this.#places.get(key);
      this.#places.delete(key);
      await host?.drop(key);
      const [, ...unneeded] = [...this.#hosts].filter(({ keys }) => keys.size === 0);
      for (const each of unneeded) await this.#end(each);
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#hosts].map((host) => host.close()));
  }

  /** A worker without networks, a new one if need be; undefined where there are enough. */
  #freeHost(): InferenceHost | undefined {
    const free = [...this.#hosts].find(({ keys }) => keys.size === 0);
    return free ?? (this.#hosts.size < WORKERS ? this.#newHost() : undefined);
  }

  async #buildCrowded(key: string, recipe: Recipe): Promise<string> {
    const [before] = [...this.#hosts].sort((a, b) => a.keys.size - b.keys.size);
    if (before === undefined) throw new TributaryError('INTERNAL', 'no inference worker to take over from');
    const next = this.#newHost();
    try {
      const backend = await next.build(key, recipe);
      await next.takeOver(before);
      for (const moved of next.keys) this.#places.set(moved, next);
      // It answers in order: what it was asked before is answered by then.
      for (const moved of [...before.keys]) await before.drop(moved);
      await this.#end(before);
      return backend;
    } catch (error) {
      await this.#end(next);
      throw error;
    }
  }

  #newHost(): InferenceHost {
    const { onUp, onDown, ...options } = this.#options;
    const host: InferenceHost = new InferenceHost({
      ...options,
      onUp,
      onDown: (times) => {
        onDown(host.keys, times);
      },
    });
    this.#hosts.add(host);
    return host;
  }

  async #end(host: InferenceHost): Promise<void> {
    this.#hosts.delete(host);
    this.#endedRestarts += host.restarts;
    await host.close();
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }
}
