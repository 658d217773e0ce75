import * as client from '@kubernetes/client-node';

import type { Kind } from './kinds.js';

interface Attribute {
  readonly baseName: string;
  readonly type: string;
}
interface Model {
  getAttributeTypeMap(): readonly Attribute[];
}

const models = client as unknown as Readonly<Record<string, Partial<Model> | undefined>>;

/** Fields by name with the names of their types; undefined where a type is no model of the API. */
export function attributesOf(type: string): ReadonlyMap<string, string> | undefined {
  const attributes = models[type]?.getAttributeTypeMap?.();
  return attributes && new Map(attributes.map(({ baseName, type: of }) => [baseName, of]));
}

/** `apps/v1 Deployment` is V1Deployment; '*' for custom kinds, which may hold anything. */
export const modelOf = ({ version, kind, custom }: Kind): string =>
  custom
    ? '*'
    : kind === 'Event'
      ? 'CoreV1Event'
      : `${version.charAt(0).toUpperCase()}${version.slice(1)}${kind}`;

/** Type of the entries of a list, else undefined. */
export const entryType = (type: string): string | undefined => /^(?:Array|Set)<(.+)>$/.exec(type)?.[1];
const valueType = (type: string): string | undefined => /^\{ \[key: string\]: (.+); \}$/.exec(type)?.[1];

/** Type of a field; '*' where anything goes. */
export function fieldType(type: string, name: string): string {
  if (type === '*' && name === 'metadata') return 'V1ObjectMeta';
  return valueType(type) ?? attributesOf(type)?.get(name) ?? '*';
}

/** Lists that patches merge by keys or as sets; every other list is replaced (patchMergeKey and x-kubernetes-list-type). */
interface ListMerge {
  /** What strategic merge goes by; undefined for a list of plain values. */
  readonly mergeKey?: string;
  /** What server-side apply goes by, where those are more. */
  readonly keys?: readonly string[];
}

const byName: ListMerge = { mergeKey: 'name' };
const byType: ListMerge = { mergeKey: 'type' };
const LISTS: Readonly<Record<string, ListMerge>> = {
  'V1ObjectMeta.finalizers': {},
  'V1ObjectMeta.ownerReferences': { mergeKey: 'uid' },
  'V1PodSpec.containers': byName,
  'V1PodSpec.initContainers': byName,
  'V1PodSpec.ephemeralContainers': byName,
  'V1PodSpec.volumes': byName,
  'V1PodSpec.imagePullSecrets': byName,
  'V1PodSpec.hostAliases': { mergeKey: 'ip' },
  'V1PodSpec.schedulingGates': byName,
  'V1PodSpec.topologySpreadConstraints': {
    mergeKey: 'topologyKey',
    keys: ['topologyKey', 'whenUnsatisfiable'],
  },
  'V1Container.env': byName,
  'V1Container.ports': { mergeKey: 'containerPort', keys: ['containerPort', 'protocol'] },
  'V1Container.volumeMounts': { mergeKey: 'mountPath' },
  'V1Container.volumeDevices': { mergeKey: 'devicePath' },
  'V1ServiceSpec.ports': { mergeKey: 'port', keys: ['port', 'protocol'] },
  'V1ServiceAccount.secrets': byName,
  'V1ServiceAccount.imagePullSecrets': byName,
  'V1PodStatus.conditions': byType,
  'V1PodStatus.podIPs': { mergeKey: 'ip' },
  'V1DeploymentStatus.conditions': byType,
  'V1ReplicaSetStatus.conditions': byType,
  'V1StatefulSetStatus.conditions': byType,
  'V1JobStatus.conditions': byType,
  'V1ServiceStatus.conditions': byType,
  'V1NamespaceStatus.conditions': byType,
  'V1PersistentVolumeClaimStatus.conditions': byType,
};

export const listMerge = (type: string, name: string): ListMerge | undefined => LISTS[`${type}.${name}`];

/** Maps and structures that have one owner as a whole (x-kubernetes-map-type: atomic). */
const ATOMIC = new Set([
  ...['V1LabelSelector', 'V1LocalObjectReference', 'V1ObjectReference', 'V1TypedLocalObjectReference'],
  ...['V1ConfigMapKeySelector', 'V1SecretKeySelector', 'V1ObjectFieldSelector', 'V1ResourceFieldSelector'],
  ...['V1NodeSelector', 'V1NodeSelectorTerm', 'V1SecretReference'],
]);
export const isAtomicType = (type: string): boolean => ATOMIC.has(type);
const ATOMIC_FIELDS = new Set(['V1PodSpec.nodeSelector', 'V1ServiceSpec.selector']);

export const isAtomic = (type: string, parent: string, name: string): boolean =>
  ATOMIC.has(type) || ATOMIC_FIELDS.has(`${parent}.${name}`);
