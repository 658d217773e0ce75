import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { field, textAt } from '../../kube/field.js';
import { containerOf } from '../../oci/bundle.js';
import { runnableImage, type ImageName } from '../../oci/images.js';
import { startContainer } from '../../oci/run.js';
import type { Api } from '../api.js';
import type { KubeObject } from '../objects.js';
import type { BridgeNetwork } from './bridge-network.js';
import type { ContainerRuntime, ContainerStart, RunningContainer } from './runtime.js';

/** Images of ours by their repository; there are no others on this node. */
const IMAGES: Readonly<Record<string, ImageName>> = {
  'tributary/coordinator': 'coordinator',
  'tributary/agent': 'agent',
};

/** Runs the containers of pods from the built images with runc, in the pods' own networks. Needs root. */
export class RuncRuntime implements ContainerRuntime {
  readonly #folder: string;
  readonly #network: BridgeNetwork;

  constructor(folder: string, network: BridgeNetwork) {
    this.#folder = folder;
    this.#network = network;
  }

  /** Names of Services for the pods of each namespace, as hosts files; called after every change. */
  readonly keepHosts = async (api: Api): Promise<void> => {
    const services = api.store.list(api.kinds.named('Service'));
    await mkdir(this.#folder, { recursive: true });
    for (const { metadata } of api.store.list(api.kinds.named('Namespace'))) {
      const lines = services.flatMap((service) => hostLines(service, metadata.name));
      // Written in place: containers have mounted this very file.
      await writeFile(this.#hosts(metadata.name), ['127.0.0.1 localhost', ...lines, ''].join('\n'));
    }
  };

  startPod(pod: KubeObject): Promise<string> {
    return this.#network.addPod(pod.metadata.uid ?? '');
  }

  async start(
    { metadata, spec: pod }: KubeObject,
    { name, volumes, variables }: ContainerStart,
  ): Promise<RunningContainer> {
    const reference = textAt(containerOf(pod, name), 'image');
    const repository = /^(?:[^/]+\.[^/]+\/)?(.+?)(?:[:@].*)?$/.exec(reference)?.[1] ?? '';
    const image = IMAGES[repository];
    if (image === undefined) throw new Error(`the node has no image ${reference}`);
    return startContainer({
      ...{ image: await runnableImage(image), pod, container: name, volumes, variables },
      network: { namespace: this.#network.path(metadata.uid ?? '') },
      files: { '/etc/hosts': this.#hosts(metadata.namespace ?? '') },
    });
  }

  stopPod(pod: KubeObject): Promise<void> {
    this.#network.removePod(pod.metadata.uid ?? '');
    return Promise.resolve();
  }

  async close(): Promise<void> {
    await this.#network.close();
    await rm(this.#folder, { recursive: true, force: true });
  }

  #hosts(namespace: string): string {
    return join(this.#folder, `hosts-${namespace}`);
  }
}

/** Without its namespace a Service is known only there. */
function hostLines({ metadata, spec }: KubeObject, namespace: string): readonly string[] {
  const address = field(spec, 'clusterIP');
  if (typeof address !== 'string') return [];
  const { name, namespace: home = '' } = metadata;
  const names = [`${name}.${home}`, `${name}.${home}.svc`, `${name}.${home}.svc.cluster.local`];
  return [`${address} ${[...(home === namespace ? [name] : []), ...names].join(' ')}`];
}
