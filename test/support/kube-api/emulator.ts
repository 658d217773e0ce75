import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { stringify } from 'yaml';

import { podVolumes } from '../oci/pod-volumes.js';
import { temporaryDirectory, type TemporaryDirectory } from '../temporary-directory.js';
import { Api } from './api.js';
import { bindClaims } from './controllers/claims.js';
import { keepDeployments, keepReplicaSets } from './controllers/deployments.js';
import { collectGarbage, keepNamespaces } from './controllers/garbage.js';
import { keepJobs } from './controllers/jobs.js';
import { ControlLoop, type Controller } from './controllers/loop.js';
import { keepEndpoints, ServiceAddresses } from './controllers/services.js';
import { FAMILY_NAMES, Kinds, type Family } from './kinds.js';
import { Kubelet } from './kubelet/kubelet.js';
import { alwaysWell, type Prober } from './kubelet/probes.js';
import { PretendedRuntime } from './kubelet/pretended-runtime.js';
import type { ContainerRuntime } from './kubelet/runtime.js';
import type { RequestLog } from './request-log.js';
import { ApiServer } from './server.js';
import { ObjectStore } from './store.js';

export interface EmulatorOptions {
  /** Version that the API says it has. */
  readonly version?: string;
  /** Kinds of other projects that it knows; all of them otherwise. */
  readonly families?: readonly Family[];
  readonly runtime?: ContainerRuntime;
  readonly prober?: Prober;
  /** Further controllers, beside Kubernetes' own. */
  readonly controllers?: (emulator: EmulatorPlace) => readonly Controller[];
  /** First three parts of the network of Services. */
  readonly serviceNetwork?: string;
  readonly ambient?: Readonly<Record<string, string>>;
}

export interface EmulatorPlace {
  readonly folder: string;
  readonly kubeconfig: string;
}

/**
 * An emulator of the Kubernetes API with as much of its controllers as helm and kubectl wait for. It is no Kubernetes: what
 * passes here was tried on an emulator.
 */
export class Emulator {
  readonly api: Api;
  readonly kubeconfig: string;
  readonly folder: string;
  readonly #server: ApiServer;
  readonly #loop: ControlLoop;
  readonly #kubelet: Kubelet;
  readonly #runtime: ContainerRuntime;
  readonly #directory: TemporaryDirectory;

  private constructor(directory: TemporaryDirectory, options: EmulatorOptions) {
    const { runtime = new PretendedRuntime(), prober = alwaysWell, families = FAMILY_NAMES } = options;
    const addresses = new ServiceAddresses(options.serviceNetwork ?? '10.43.0.');
    this.#directory = directory;
    this.folder = directory.path;
    this.kubeconfig = join(this.folder, 'kubeconfig');
    const claims = join(this.folder, 'claims');
    this.api = new Api(new Kinds(families), new ObjectStore(), addresses.allot);
    this.#runtime = runtime;
    const { api } = this;
    this.#kubelet = new Kubelet({
      ...{ api, runtime, prober, claims, pods: join(this.folder, 'pods'), ambient: options.ambient ?? {} },
      // Owners of files are for root to give.
      prepare: process.getuid?.() === 0 ? podVolumes : () => Promise.resolve({}),
    });
    this.#server = new ApiServer({
      ...{ api, version: options.version ?? '1.31.0' },
      podLog: (namespace, name, container) => this.#kubelet.log(namespace, name, container),
    });
    this.#loop = new ControlLoop(api, [
      ...[keepNamespaces, keepDeployments, keepReplicaSets, keepJobs, keepEndpoints, bindClaims(claims)],
      ...(options.controllers?.(this) ?? []),
      collectGarbage,
    ]);
  }

  /** Starts one on a free port of this machine, with the namespaces that every cluster has. */
  static async start(options: EmulatorOptions = {}): Promise<Emulator> {
    const emulator = new Emulator(await temporaryDirectory(), options);
    for (const name of ['default', 'kube-system']) {
      const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
      await emulator.api.create(emulator.api.kinds.named('Namespace'), undefined, namespace, {
        manager: 'emulator',
      });
    }
    const port = await emulator.#server.listen('127.0.0.1');
    await mkdir(join(emulator.folder, 'claims'), { recursive: true });
    await writeFile(emulator.kubeconfig, kubeconfigOf(`http://127.0.0.1:${String(port)}`), { mode: 0o600 });
    return emulator;
  }

  get log(): RequestLog {
    return this.#server.log;
  }

  /** Listens on another address too, for pods; gives the port. */
  listen(host: string): Promise<number> {
    return this.#server.listen(host);
  }

  async stop(): Promise<void> {
    await this.#server.close();
    await this.#loop.close();
    await this.#kubelet.close();
    await this.#runtime.close();
    await this.#directory.remove();
  }
}

function kubeconfigOf(server: string): string {
  const named = { name: 'emulator' };
  return stringify({
    ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'emulator' },
    clusters: [{ ...named, cluster: { server } }],
    users: [{ ...named, user: {} }],
    contexts: [{ ...named, context: { cluster: 'emulator', user: 'emulator', namespace: 'default' } }],
  });
}
