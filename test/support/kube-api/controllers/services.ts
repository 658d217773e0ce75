import { field, listAt } from '../../kube/field.js';
import type { Api } from '../api.js';
import { isFields, isSame, ownerOf, type Fields, type KubeObject } from '../objects.js';
import { labelTest } from '../selectors.js';
import { forEach } from './loop.js';

const WRITING = { manager: 'kube-controller-manager' };
const FIRST_NODE_PORT = 30_000;

/** Addresses of Services, and the ports of nodes, each given once. */
export class ServiceAddresses {
  readonly #prefix: string;
  #next = 10;
  #nodePort = FIRST_NODE_PORT;

  /** `prefix` of a network of 256 addresses, such as `10.96.0.`. */
  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /** Fills in what a Service leaves to the cluster. */
  readonly allot = (service: KubeObject): void => {
    const spec = service['spec'];
    if (!isFields(spec) || spec['type'] === 'ExternalName') return;
    if (spec['clusterIP'] === undefined || spec['clusterIP'] === '') {
      spec['clusterIP'] = `${this.#prefix}${String(this.#next++)}`;
    }
    spec['clusterIPs'] = [spec['clusterIP']];
    if (spec['type'] === 'ClusterIP') return;
    for (const port of listAt(spec, 'ports')) if (isFields(port)) port['nodePort'] ??= this.#nodePort++;
  };
}

const isReady = (pod: KubeObject): boolean =>
  listAt(pod, 'status', 'conditions').some(
    (condition) => field(condition, 'type') === 'Ready' && field(condition, 'status') === 'True',
  );

/** Number of a port of a pod, by number or by name. */
export function podPort(pod: KubeObject, target: unknown): number | undefined {
  if (typeof target === 'number') return target;
  const ports = listAt(pod, 'spec', 'containers').flatMap((container) => listAt(container, 'ports'));
  const found = field(
    ports.find((port) => field(port, 'name') === target),
    'containerPort',
  );
  return typeof found === 'number' ? found : undefined;
}

/** Endpoints of Services that select pods, and addresses of load balancers. */
export async function keepEndpoints(api: Api): Promise<void> {
  const [services, endpoints, pods] = [
    api.kinds.named('Service'),
    api.kinds.named('Endpoints'),
    api.kinds.named('Pod'),
  ];
  await forEach(api.store.list(services), async (service) => {
    const { name, namespace } = service.metadata;
    await balance(api, service);
    const selector = field(service, 'spec', 'selector');
    if (!isFields(selector)) return;
    const test = labelTest(
      Object.entries(selector)
        .map(([key, value]) => `${key}=${String(value)}`)
        .join(','),
    );
    const selected = api.store.list(pods, namespace).filter((pod) => test(pod.metadata.labels ?? {}));
    const subsets = subsetsOf(service, selected);
    const live = api.store.get(endpoints, namespace, name);
    const metadata = { name, ownerReferences: [ownerOf(service)] };
    if (live === undefined)
      await api.create(
        endpoints,
        namespace,
        { apiVersion: 'v1', kind: 'Endpoints', metadata, subsets },
        WRITING,
      );
    else if (!isSame(live['subsets'] ?? [], subsets))
      await api.edit(endpoints, live, (object) => (object['subsets'] = subsets), WRITING);
  });
}

function subsetsOf(service: KubeObject, pods: readonly KubeObject[]): readonly Fields[] {
  return pods
    .filter((pod) => isReady(pod) && pod.metadata.deletionTimestamp === undefined)
    .flatMap((pod) => {
      const ports = listAt(service, 'spec', 'ports').flatMap((port) => {
        const number = podPort(pod, field(port, 'targetPort'));
        const name = field(port, 'name');
        return number === undefined
          ? []
          : [{ ...(name === undefined ? {} : { name }), port: number, protocol: 'TCP' }];
      });
      const targetRef = {
        kind: 'Pod',
        name: pod.metadata.name,
        namespace: pod.metadata.namespace,
        uid: pod.metadata.uid,
      };
      return [{ addresses: [{ ip: field(pod, 'status', 'podIP'), targetRef }], ports }];
    });
}

async function balance(api: Api, service: KubeObject): Promise<void> {
  if (field(service, 'spec', 'type') !== 'LoadBalancer') return;
  const ip = field(service, 'spec', 'clusterIP');
  const status = { loadBalancer: { ingress: [{ ip, ipMode: 'VIP' }] } };
  await api.edit(api.kinds.named('Service'), service, (object) => (object['status'] = status), {
    ...WRITING,
    subresource: 'status',
  });
}
