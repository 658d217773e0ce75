import { field, listAt, textAt } from '../kube/field.js';
import type { Fields, KubeObject } from './objects.js';

interface Column {
  readonly name: string;
  readonly type?: 'integer' | 'date';
  /** Shown with `-o wide` alone. */
  readonly wide?: true;
  readonly value: (object: KubeObject) => unknown;
}

const at =
  (...path: readonly (string | number)[]) =>
  (object: KubeObject): unknown =>
    field(object, ...path) ?? '';
const count = (value: unknown): number => Number(value ?? 0);
const AGE: Column = { name: 'Age', value: ({ metadata }) => ageOf(metadata.creationTimestamp) };

/** `90s`, `12m`, `3h`, `2d`. */
function ageOf(since: string | undefined): string {
  if (since === undefined) return '<unknown>';
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(since)) / 1_000));
  if (seconds < 120) return `${String(seconds)}s`;
  if (seconds < 7_200) return `${String(Math.floor(seconds / 60))}m`;
  return seconds < 172_800
    ? `${String(Math.floor(seconds / 3_600))}h`
    : `${String(Math.floor(seconds / 86_400))}d`;
}

const portsOf = (service: KubeObject): string =>
  listAt(service, 'spec', 'ports')
    .map((port) => {
      const node = textAt(port, 'nodePort');
      return `${textAt(port, 'port')}${node === '' ? '' : `:${node}`}/${textAt(port, 'protocol')}`;
    })
    .join(',');

const containerStatuses = (pod: KubeObject): readonly unknown[] => listAt(pod, 'status', 'containerStatuses');

function podStatus(pod: KubeObject): unknown {
  if (pod.metadata.deletionTimestamp !== undefined) return 'Terminating';
  const reason = containerStatuses(pod)
    .map((status) => field(status, 'state', 'waiting', 'reason'))
    .find(Boolean);
  return reason ?? field(pod, 'status', 'reason') ?? field(pod, 'status', 'phase');
}

const READY = (replicas: readonly [string, string]): Column => ({
  name: 'Ready',
  value: (object) =>
    `${String(count(field(object, 'status', replicas[0])))}/${String(count(field(object, 'spec', replicas[1])))}`,
});

/** Columns between the name and the age, by kind. */
const COLUMNS: Readonly<Record<string, readonly Column[]>> = {
  Namespace: [{ name: 'Status', value: at('status', 'phase') }],
  Pod: [
    {
      name: 'Ready',
      value: (pod) =>
        `${String(containerStatuses(pod).filter((status) => field(status, 'ready') === true).length)}/${String(listAt(pod, 'spec', 'containers').length)}`,
    },
    { name: 'Status', value: podStatus },
    {
      name: 'Restarts',
      type: 'integer',
      value: (pod) =>
        containerStatuses(pod).reduce<number>((sum, status) => sum + count(field(status, 'restartCount')), 0),
    },
    { name: 'IP', wide: true, value: at('status', 'podIP') },
    { name: 'Node', wide: true, value: at('spec', 'nodeName') },
  ],
  Deployment: [
    READY(['readyReplicas', 'replicas']),
    {
      name: 'Up-to-date',
      type: 'integer',
      value: (object) => count(field(object, 'status', 'updatedReplicas')),
    },
    {
      name: 'Available',
      type: 'integer',
      value: (object) => count(field(object, 'status', 'availableReplicas')),
    },
  ],
  ReplicaSet: [
    { name: 'Desired', type: 'integer', value: at('spec', 'replicas') },
    { name: 'Current', type: 'integer', value: at('status', 'replicas') },
    { name: 'Ready', type: 'integer', value: (object) => count(field(object, 'status', 'readyReplicas')) },
  ],
  Service: [
    { name: 'Type', value: at('spec', 'type') },
    { name: 'Cluster-IP', value: at('spec', 'clusterIP') },
    { name: 'Port(s)', value: portsOf },
  ],
  ConfigMap: [
    {
      name: 'Data',
      type: 'integer',
      value: (object) => Object.keys(object['data'] ?? {}).length,
    },
  ],
  Secret: [
    { name: 'Type', value: at('type') },
    {
      name: 'Data',
      type: 'integer',
      value: (object) => Object.keys(object['data'] ?? {}).length,
    },
  ],
  PersistentVolumeClaim: [
    { name: 'Status', value: at('status', 'phase') },
    { name: 'Volume', value: at('spec', 'volumeName') },
    { name: 'Capacity', value: at('status', 'capacity', 'storage') },
    { name: 'StorageClass', value: at('spec', 'storageClassName') },
  ],
};

/** `meta.k8s.io/v1 Table`, as `kubectl get` asks for. */
export function tableOf(
  objects: readonly KubeObject[],
  kind: string,
  resourceVersion: string,
  include: string,
): Fields {
  const columns: readonly Column[] = [
    { name: 'Name', value: at('metadata', 'name') },
    ...(COLUMNS[kind] ?? []),
    AGE,
  ];
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata: { resourceVersion },
    columnDefinitions: columns.map(({ name, type = 'string', wide }) => ({
      ...{ name, type, format: name === 'Name' ? 'name' : '', description: name },
      priority: wide === true ? 1 : 0,
    })),
    rows: objects.map((object) => ({
      cells: columns.map(({ value }) => value(object)),
      object: rowObject(object, include),
    })),
  };
}

function rowObject(object: KubeObject, include: string): unknown {
  if (include === 'None') return undefined;
  if (include === 'Object') return object;
  return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata };
}
