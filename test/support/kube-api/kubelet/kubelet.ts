import { field } from '../../kube/field.js';
import { ApiError } from '../api-error.js';
import { inBackground } from '../background.js';
import type { ChangeEvent } from '../store.js';
import { PodWorker, type PodHome } from './pod-worker.js';

/** The emulator's one node: runs every pod. */
export class Kubelet {
  readonly #home: PodHome;
  readonly #workers = new Map<string, PodWorker>();
  readonly #unsubscribe: () => void;

  constructor(home: PodHome) {
    this.#home = home;
    this.#unsubscribe = home.api.store.subscribe((event) => this.#heed(event));
  }

  /** What a container of a pod printed. */
  async log(namespace: string, name: string, container: string | undefined): Promise<string> {
    const { api } = this.#home;
    const pod = api.get(api.kinds.named('Pod'), namespace, name);
    const log = await this.#workers.get(pod.metadata.uid ?? '')?.log(container);
    if (log !== undefined) return log;
    throw new ApiError('BadRequest', `container ${container ?? ''} of pod ${name} is not known`);
  }

  async close(): Promise<void> {
    this.#unsubscribe();
    await Promise.all([...this.#workers.values()].map((worker) => worker.end(1)));
  }

  #heed({ kind, type, object }: ChangeEvent): void {
    if (kind.kind === 'ConfigMap' || kind.kind === 'Secret') {
      for (const worker of this.#workers.values()) inBackground(worker.refresh());
      return;
    }
    if (kind.kind !== 'Pod') return;
    const uid = object.metadata.uid ?? '';
    const worker = this.#workers.get(uid);
    if (type === 'DELETED') {
      this.#workers.delete(uid);
      if (worker !== undefined) inBackground(worker.end());
    } else if (worker !== undefined) worker.update(object);
    else if (field(object, 'metadata', 'deletionTimestamp') === undefined)
      this.#workers.set(uid, new PodWorker(this.#home, object));
  }
}
