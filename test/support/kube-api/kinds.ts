import type { KubeObject } from './objects.js';

/** One kind of the API, and how it is addressed. */
export interface Kind {
  /** '' for the core group. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly shortNames: readonly string[];
  readonly namespaced: boolean;
  readonly subresources: readonly string[];
  readonly categories: readonly string[];
  /** A kind of a CustomResourceDefinition: no strategic merge, no schema of Kubernetes' own. */
  readonly custom: boolean;
}

export const apiVersionOf = ({ group, version }: Pick<Kind, 'group' | 'version'>): string =>
  group === '' ? version : `${group}/${version}`;
export const resourceOf = ({ group, plural }: Kind): string => (group === '' ? plural : `${plural}.${group}`);

type Options = Partial<Pick<Kind, 'namespaced' | 'subresources' | 'categories' | 'custom' | 'plural'>>;

function kindsOf(
  apiVersion: string,
  entries: readonly (readonly [string, string?, Options?])[],
): readonly Kind[] {
  const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
  return entries.map(([kind, short = '', options = {}]) => ({
    group: group ?? '',
    version: version ?? '',
    kind,
    plural: pluralOf(kind),
    shortNames: short === '' ? [] : short.split(','),
    ...{ namespaced: true, subresources: [], categories: [], custom: false },
    ...options,
  }));
}

function pluralOf(kind: string): string {
  const lower = kind.toLowerCase();
  if (lower.endsWith('s')) return lower === 'endpoints' ? lower : `${lower}es`;
  return lower.endsWith('y') ? `${lower.slice(0, -1)}ies` : `${lower}s`;
}

const OF_CLUSTER = { namespaced: false };
const WITH_STATUS = { subresources: ['status'] };
const WORKLOAD = { subresources: ['status', 'scale'], categories: ['all'] };

/** What every cluster of the emulator has. */
const BUILT_IN: readonly Kind[] = [
  ...kindsOf('v1', [
    ['Namespace', 'ns', { ...OF_CLUSTER, ...WITH_STATUS }],
    ['Node', 'no', { ...OF_CLUSTER, ...WITH_STATUS }],
    ['PersistentVolume', 'pv', { ...OF_CLUSTER, ...WITH_STATUS }],
    ['Pod', 'po', { subresources: ['status', 'log', 'exec'], categories: ['all'] }],
    ['Service', 'svc', { ...WITH_STATUS, categories: ['all'] }],
    ['PersistentVolumeClaim', 'pvc', WITH_STATUS],
    ['ConfigMap', 'cm'],
    ['Secret'],
    ['ServiceAccount', 'sa'],
    ['Endpoints', 'ep'],
    ['Event', 'ev'],
  ]),
  ...kindsOf('apps/v1', [
    ['Deployment', 'deploy', WORKLOAD],
    ['ReplicaSet', 'rs', WORKLOAD],
    ['StatefulSet', 'sts', WORKLOAD],
    ['DaemonSet', 'ds', { ...WITH_STATUS, categories: ['all'] }],
  ]),
  ...kindsOf('batch/v1', [
    ['Job', '', { ...WITH_STATUS, categories: ['all'] }],
    ['CronJob', 'cj', { ...WITH_STATUS, categories: ['all'] }],
  ]),
  ...kindsOf('networking.k8s.io/v1', [
    ['NetworkPolicy', 'netpol'],
    ['Ingress', 'ing', WITH_STATUS],
  ]),
  ...kindsOf('policy/v1', [['PodDisruptionBudget', 'pdb', WITH_STATUS]]),
  ...kindsOf('rbac.authorization.k8s.io/v1', [
    ['Role'],
    ['RoleBinding'],
    ['ClusterRole', '', OF_CLUSTER],
    ['ClusterRoleBinding', '', OF_CLUSTER],
  ]),
  ...kindsOf('coordination.k8s.io/v1', [['Lease']]),
  ...kindsOf('storage.k8s.io/v1', [['StorageClass', 'sc', OF_CLUSTER]]),
  ...kindsOf('scheduling.k8s.io/v1', [['PriorityClass', 'pc', OF_CLUSTER]]),
  ...kindsOf('node.k8s.io/v1', [['RuntimeClass', '', OF_CLUSTER]]),
  ...kindsOf('autoscaling/v2', [['HorizontalPodAutoscaler', 'hpa', WITH_STATUS]]),
];

const CUSTOM = { custom: true };

/** Kinds of other projects, which a cluster has or has not. */
const FAMILIES = {
  'Prometheus Operator': kindsOf('monitoring.coreos.com/v1', [
    ['ServiceMonitor', 'smon', CUSTOM],
    ['PrometheusRule', 'promrule', CUSTOM],
  ]),
  Traefik: kindsOf('traefik.io/v1alpha1', [['IngressRouteTCP', '', CUSTOM]]),
  'helm-controller': kindsOf('helm.cattle.io/v1', [['HelmChart', '', { ...CUSTOM, ...WITH_STATUS }]]),
} as const;

export type Family = keyof typeof FAMILIES;
export const FAMILY_NAMES = Object.keys(FAMILIES) as readonly Family[];

/** The kinds that a cluster knows. */
export class Kinds {
  readonly all: readonly Kind[];

  constructor(families: readonly Family[]) {
    this.all = [...BUILT_IN, ...families.flatMap((family) => FAMILIES[family])];
  }

  /** By the path's group, version and plural. */
  find(group: string, version: string, plural: string): Kind | undefined {
    return this.all.find(
      (kind) => kind.group === group && kind.version === version && kind.plural === plural,
    );
  }

  /** By an object's own words. */
  of({ apiVersion, kind }: Pick<KubeObject, 'apiVersion' | 'kind'>): Kind | undefined {
    return this.all.find((known) => apiVersionOf(known) === apiVersion && known.kind === kind);
  }

  /** One that every cluster has. */
  named(kind: string): Kind {
    const found = this.all.find((known) => known.kind === kind);
    if (found === undefined) throw new Error(`no kind ${kind}`);
    return found;
  }

  /** Groups with their versions, in the order of discovery. */
  groups(): readonly (readonly [string, readonly string[]])[] {
    const groups = new Map<string, Set<string>>();
    for (const { group, version } of this.all)
      groups.set(group, (groups.get(group) ?? new Set<string>()).add(version));
    return [...groups].map(([group, versions]) => [group, [...versions]]);
  }

  in(group: string, version: string): readonly Kind[] {
    return this.all.filter((kind) => kind.group === group && kind.version === version);
  }
}
