import { execFile, spawn } from 'node:child_process';
import { openSync, closeSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { field } from '../../kube/field.js';
import type { KubeObject } from '../objects.js';
import type { Api } from '../api.js';
import { bundleOf } from './bundle.js';
import type { Images } from './images.js';
import type { PodNetwork } from './pod-network.js';
import type { ContainerRuntime, ContainerSpec, RunningContainer } from './runtime.js';

const run = promisify(execFile);

export interface RuncOptions {
  readonly folder: string;
  readonly network: PodNetwork;
  readonly images: Images;
}

/** Runs containers with runc: their own processes, files and network, as their pods ask. Needs root. */
export class RuncRuntime implements ContainerRuntime {
  readonly #options: RuncOptions;
  readonly #running = new Map<string, RunningContainer>();

  constructor(options: RuncOptions) {
    this.#options = options;
  }

  /** Names of Services for the pods of a namespace, as a hosts file; called after every change of Services. */
  readonly keepHosts = async (api: Api): Promise<void> => {
    const services = api.store.list(api.kinds.named('Service'));
    const namespaces = api.store.list(api.kinds.named('Namespace')).map(({ metadata }) => metadata.name);
    for (const namespace of namespaces) {
      const lines = services.flatMap(({ metadata: { name, namespace: home = '' }, spec }) => {
        const names = [`${name}.${home}`, `${name}.${home}.svc`, `${name}.${home}.svc.cluster.local`];
        const address = field(spec, 'clusterIP');
        return typeof address === 'string'
          ? [`${address} ${[...(home === namespace ? [name] : []), ...names].join(' ')}`]
          : [];
      });
      await mkdir(this.#options.folder, { recursive: true });
      // Written in place: containers have mounted this very file.
      await writeFile(this.#hosts(namespace), ['127.0.0.1 localhost', ...lines, ''].join('\n'));
    }
  };

  startPod(pod: KubeObject): Promise<string> {
    return this.#options.network.addPod(pod.metadata.uid ?? '');
  }

  async start(pod: KubeObject, spec: ContainerSpec): Promise<RunningContainer> {
    const { folder, network, images } = this.#options;
    const bundle = join(folder, 'bundles', spec.id);
    await mkdir(bundle, { recursive: true });
    const hosts = {
      source: this.#hosts(pod.metadata.namespace ?? ''),
      destination: '/etc/hosts',
      readOnly: true,
    };
    const config = bundleOf({ ...spec, mounts: [...spec.mounts, hosts] }, await images.find(spec.image), {
      hostname: pod.metadata.name,
      networkPath: network.path(pod.metadata.uid ?? ''),
    });
    await writeFile(join(bundle, 'config.json'), JSON.stringify(config));
    const log = openSync(spec.logFile, 'a');
    const child = spawn('runc', [...this.#state, 'run', '--bundle', bundle, spec.id], {
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    const exited = new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => resolve(code ?? 128));
    });
    const container = {
      exited: exited.then(async (code) => {
        this.#running.delete(spec.id);
        await run('runc', [...this.#state, 'delete', '--force', spec.id]).catch(() => undefined);
        return code;
      }),
      kill: (signal: string) => this.#kill(spec.id, signal),
      execute: (command: readonly string[]) => this.#execute(spec.id, command),
    };
    this.#running.set(spec.id, container);
    return container;
  }

  async stopPod(pod: KubeObject): Promise<void> {
    await this.#options.network.removePod(pod.metadata.uid ?? '');
  }

  async close(): Promise<void> {
    await Promise.all(
      [...this.#running.values()].map(async (container) => {
        await container.kill('SIGKILL');
        await container.exited;
      }),
    );
    await this.#options.network.close();
    await rm(this.#options.folder, { recursive: true, force: true });
  }

  get #state(): readonly string[] {
    return ['--root', join(this.#options.folder, 'state')];
  }

  #hosts(namespace: string): string {
    return join(this.#options.folder, `hosts-${namespace}`);
  }

  async #kill(id: string, signal: string): Promise<void> {
    // One that has ended meanwhile is not there to be told.
    await run('runc', [...this.#state, 'kill', id, signal.replace('SIG', '')]).catch(() => undefined);
  }

  async #execute(id: string, command: readonly string[]): Promise<number> {
    return run('runc', [...this.#state, 'exec', id, ...command]).then(
      () => 0,
      () => 1,
    );
  }
}
