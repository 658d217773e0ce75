import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { field, listAt, textAt } from '../../kube/field.js';
import { ApiError } from '../api-error.js';
import type { Api } from '../api.js';
import { inBackground } from '../background.js';
import { condition } from '../controllers/deployments.js';
import { timestamp, type Fields, type KubeObject } from '../objects.js';
import { containerSpec } from './container-spec.js';
import { ContainerWorker } from './container-worker.js';
import type { Prober } from './probes.js';
import type { ContainerRuntime, RunningContainer } from './runtime.js';
import { NotReady, prepareVolumes, refreshVolumes, type VolumePlace } from './volumes.js';

export const NODE = 'emulator';
const WRITING = { manager: 'kubelet' };
const RETRY_MS = 200;

export interface PodHome {
  readonly api: Api;
  readonly runtime: ContainerRuntime;
  readonly prober: Prober;
  readonly claims: string;
  /** Where pods have their folders. */
  readonly pods: string;
  readonly ambient: Readonly<Record<string, string>>;
}

/** One pod on the node, from its first volume to its end. */
export class PodWorker {
  readonly #home: PodHome;
  readonly #place: VolumePlace;
  #pod: KubeObject;
  #ip = '';
  #volumes: ReadonlyMap<string, string> = new Map();
  #init: readonly ContainerWorker[] = [];
  #main: readonly ContainerWorker[] = [];
  #initialized = false;
  #problem = '';
  #ending: Promise<void> | undefined;
  #reporting: Promise<void> = Promise.resolve();
  readonly #work: Promise<void>;

  constructor(home: PodHome, pod: KubeObject) {
    this.#home = home;
    this.#pod = pod;
    this.#place = { api: home.api, claims: home.claims, folder: join(home.pods, pod.metadata.uid ?? '') };
    this.#work = this.#run();
  }

  /** File with what a container printed. */
  logFile(container: string | undefined): string {
    const name = container ?? String(field(this.#pod, 'spec', 'containers', 0, 'name'));
    return join(this.#place.folder, `${name}.log`);
  }

  /** Takes what the API now says of the pod. */
  update(pod: KubeObject): void {
    this.#pod = pod;
    if (pod.metadata.deletionTimestamp !== undefined) inBackground(this.end());
  }

  /** Ends it, after its own time or another; resolves when nothing of it runs any more. */
  end(graceSeconds?: number): Promise<void> {
    this.#ending ??= this.#end(graceSeconds ?? this.#pod.metadata.deletionGracePeriodSeconds ?? 30);
    return this.#ending;
  }

  async refresh(): Promise<void> {
    if (this.#volumes.size === 0 || this.#ending !== undefined) return;
    await refreshVolumes(this.#place, this.#pod, this.#volumes).catch((error: unknown) => {
      if (!(error instanceof NotReady)) throw error;
    });
  }

  async #run(): Promise<void> {
    const { api, runtime } = this.#home;
    await mkdir(this.#place.folder, { recursive: true });
    await api.edit(
      api.kinds.named('Pod'),
      this.#pod,
      (pod) => {
        pod['spec'] = { ...(pod['spec'] as Fields), nodeName: NODE };
      },
      { manager: 'kube-scheduler' },
    );
    this.#init = listAt(this.#pod, 'spec', 'initContainers').map((container) =>
      this.#worker(container, true),
    );
    this.#main = listAt(this.#pod, 'spec', 'containers').map((container) => this.#worker(container, false));
    this.#report();
    this.#volumes = (await this.#ready(() => prepareVolumes(this.#place, this.#pod))) ?? new Map();
    if (this.#ending !== undefined) return;
    this.#ip = await runtime.startPod(this.#pod);
    for (const worker of this.#init) {
      const code = await worker.run();
      if (code !== 0 || this.#ending !== undefined) return this.#report();
    }
    this.#initialized = true;
    this.#report();
    await this.#reporting;
    await Promise.all(this.#main.map((worker) => worker.run()));
    this.#report();
  }

  #worker(container: unknown, isInit: boolean): ContainerWorker {
    return new ContainerWorker({
      ...{
        container,
        isInit,
        prober: this.#home.prober,
        pod: () => this.#pod,
        changed: () => this.#report(),
      },
      restartPolicy: textAt(this.#pod, 'spec', 'restartPolicy') || 'Always',
      start: (attempt) => this.#start(container, attempt),
    });
  }

  async #start(container: unknown, attempt: number): Promise<RunningContainer> {
    const { api, runtime, ambient } = this.#home;
    const spec = await this.#ready(() =>
      containerSpec(
        {
          ...{ api, pod: this.#pod, volumes: this.#volumes, podIp: this.#ip, attempt, ambient },
          folder: this.#place.folder,
        },
        container,
      ),
    );
    if (spec === undefined)
      return {
        exited: Promise.resolve(137),
        kill: () => Promise.resolve(),
        execute: () => Promise.resolve(1),
      };
    return runtime.start(this.#pod, spec);
  }

  /** Tries until what is missing is there; undefined where the pod ends first. */
  async #ready<T>(attempt: () => T | Promise<T>): Promise<T | undefined> {
    while (this.#ending === undefined) {
      try {
        const value = await attempt();
        this.#problem = '';
        return value;
      } catch (error) {
        if (!(error instanceof NotReady)) throw error;
        if (this.#problem !== error.message) await this.#warn(error.message);
        this.#problem = error.message;
        await sleep(RETRY_MS);
      }
    }
    return undefined;
  }

  /** The event that `kubectl describe` shows. */
  async #warn(message: string): Promise<void> {
    const { api } = this.#home;
    const { name, namespace, uid } = this.#pod.metadata;
    const event = {
      ...{ apiVersion: 'v1', kind: 'Event', type: 'Warning', reason: 'FailedMount', message },
      metadata: { generateName: `${name}.` } as unknown as KubeObject['metadata'],
      involvedObject: { apiVersion: 'v1', kind: 'Pod', name, namespace, uid },
      ...{
        firstTimestamp: timestamp(),
        lastTimestamp: timestamp(),
        count: 1,
        source: { component: 'kubelet' },
      },
    };
    await api.create(api.kinds.named('Event'), namespace, event, WRITING).catch(() => undefined);
  }

  async #end(seconds: number): Promise<void> {
    const { api, runtime } = this.#home;
    await Promise.all([...this.#init, ...this.#main].map((worker) => worker.stop(seconds)));
    await this.#work;
    await runtime.stopPod(this.#pod);
    await this.#reporting;
    const pods = api.kinds.named('Pod');
    const { namespace, name, uid } = this.#pod.metadata;
    if (api.store.get(pods, namespace, name)?.metadata.uid === uid)
      await api.delete(pods, namespace, name, { graceSeconds: 0 });
  }

  #report(): void {
    this.#reporting = this.#reporting.then(async () => {
      const { api } = this.#home;
      const kind = api.kinds.named('Pod');
      const change = (pod: KubeObject): void => void (pod['status'] = this.#status(pod));
      await api
        .edit(kind, this.#pod, change, { ...WRITING, subresource: 'status' })
        .catch((error: unknown) => {
          if (!(error instanceof ApiError)) throw error;
        });
    });
  }

  #phase(): string {
    const policy = textAt(this.#pod, 'spec', 'restartPolicy') || 'Always';
    const codes = this.#main.map(({ exitCode }) => exitCode);
    const isBroken = policy === 'Never' && this.#init.some(({ exitCode = 0 }) => exitCode !== 0);
    if (isBroken) return 'Failed';
    if (!this.#initialized) return 'Pending';
    const hasEnded = policy !== 'Always' && codes.every((code) => code !== undefined);
    if (hasEnded) return codes.every((code) => code === 0) ? 'Succeeded' : 'Failed';
    return 'Running';
  }

  #status(pod: KubeObject): Fields {
    const phase = this.#phase();
    const isReady = phase === 'Running' && this.#main.every(({ ready }) => ready);
    const conditions = [
      condition(pod, 'PodScheduled', true, 'Scheduled'),
      condition(
        pod,
        'Initialized',
        this.#initialized,
        this.#initialized ? 'PodCompleted' : 'ContainersNotInitialized',
      ),
      condition(pod, 'ContainersReady', isReady, isReady ? 'ContainersReady' : 'ContainersNotReady'),
      condition(pod, 'Ready', isReady, isReady ? 'Ready' : 'ContainersNotReady'),
    ];
    const addresses = this.#ip === '' ? {} : { podIP: this.#ip, podIPs: [{ ip: this.#ip }] };
    return {
      ...{
        phase,
        conditions,
        hostIP: '127.0.0.1',
        startTime: field(pod, 'status', 'startTime') ?? timestamp(),
        ...addresses,
      },
      initContainerStatuses: this.#init.map((worker) => worker.status()),
      containerStatuses: this.#main.map((worker) => worker.status()),
    };
  }
}
