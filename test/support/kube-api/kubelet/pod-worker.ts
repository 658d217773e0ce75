import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { field, listAt, textAt } from '../../kube/field.js';
import { containerEnvironment } from '../../oci/pod-environment.js';
import type { PodSources, podVolumes, PodVolumes } from '../../oci/pod-volumes.js';
import { ApiError } from '../api-error.js';
import type { Api } from '../api.js';
import { inBackground } from '../background.js';
import { condition } from '../controllers/deployments.js';
import { timestamp, type Fields, type KubeObject } from '../objects.js';
import { ContainerWorker } from './container-worker.js';
import type { Prober } from './probes.js';
import type { ContainerRuntime, RunningContainer } from './runtime.js';
import { podSources } from './pod-sources.js';

const NODE = 'emulator';
const WRITING = { manager: 'kubelet' };
const RETRY_MS = 200;

export interface PodHome {
  readonly api: Api;
  readonly runtime: ContainerRuntime;
  readonly prober: Prober;
  /** Makes the volumes of pods. */
  readonly prepare: typeof podVolumes;
  readonly claims: string;
  /** Where pods have their folders. */
  readonly pods: string;
  readonly ambient: Readonly<Record<string, string>>;
}

/** In place of a container whose pod has ended before it could start. */
const ENDED: RunningContainer = {
  exited: Promise.resolve(137),
  log: () => Promise.resolve(''),
  exec: () => Promise.resolve({ code: 1, stdout: '', stderr: '' }),
  stop: () => Promise.resolve(137),
};

/** Something that a pod is made from, and that may yet come. */
const isMissing = (error: unknown): error is Error =>
  error instanceof Error && /not found$|references non-existent key|couldn't find key/.test(error.message);

/** One pod on the node, from its first volume to its end. */
export class PodWorker {
  readonly #home: PodHome;
  readonly #folder: string;
  #pod: KubeObject;
  #ip = '';
  #volumes: PodVolumes = {};
  /** Versions of what the volumes were made from. */
  #prepared = '';
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
    this.#folder = join(home.pods, pod.metadata.uid ?? '');
    this.#work = this.#run();
  }

  /** What a container printed; undefined where there is no such. */
  log(name = textAt(this.#pod, 'spec', 'containers', 0, 'name')): Promise<string | undefined> {
    const worker = [...this.#init, ...this.#main].find((one) => one.name === name);
    return worker?.log() ?? Promise.resolve(undefined);
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

  /** Brings files of ConfigMaps and Secrets up to date, as the kubelet does while a pod runs. */
  async refresh(): Promise<void> {
    if (this.#prepared === '' || this.#ending !== undefined || this.#prepared === this.#versions()) return;
    await this.#prepare().catch((error: unknown) => {
      if (!isMissing(error)) throw error;
    });
  }

  async #run(): Promise<void> {
    const { api, runtime } = this.#home;
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
    await this.#ready(() => this.#prepare());
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
      start: () => this.#start(container),
      graceMs: () => Number(field(this.#pod, 'spec', 'terminationGracePeriodSeconds') ?? 30) * 1_000,
    });
  }

  async #start(container: unknown): Promise<RunningContainer> {
    const { name, namespace = '', uid = '' } = this.#pod.metadata;
    const fields = {
      ...{ 'metadata.name': name, 'metadata.namespace': namespace, 'metadata.uid': uid },
      ...{ 'spec.nodeName': NODE, 'status.podIP': this.#ip },
    };
    const variables = await this.#ready(() => containerEnvironment(container, this.#sources(), fields));
    if (variables === undefined) return ENDED;
    return this.#home.runtime.start(this.#pod, {
      ...{ name: textAt(container, 'name'), volumes: this.#volumes },
      variables: { ...this.#home.ambient, ...variables },
    });
  }

  #sources(): PodSources {
    return podSources(this.#home.api, this.#pod.metadata.namespace, this.#home.claims);
  }

  async #prepare(): Promise<void> {
    const versions = this.#versions();
    this.#volumes = await this.#home.prepare(
      this.#pod['spec'],
      this.#sources(),
      join(this.#folder, 'volumes'),
    );
    this.#prepared = versions;
  }

  #versions(): string {
    const { api } = this.#home;
    const objects = ['ConfigMap', 'Secret'].flatMap((kind) =>
      api.store.list(api.kinds.named(kind), this.#pod.metadata.namespace),
    );
    const named = JSON.stringify(field(this.#pod, 'spec', 'volumes') ?? []);
    return objects
      .filter(({ metadata }) => named.includes(`"${metadata.name}"`))
      .map(({ metadata }) => `${metadata.name} ${metadata.resourceVersion ?? ''}`)
      .join();
  }

  /** Tries until what is missing is there; undefined where the pod ends first. */
  async #ready<T>(attempt: () => T | Promise<T>): Promise<T | undefined> {
    while (this.#ending === undefined) {
      try {
        const value = await attempt();
        this.#problem = '';
        return value;
      } catch (error) {
        if (!isMissing(error)) throw error;
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
