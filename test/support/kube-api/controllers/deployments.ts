import { createHash } from 'node:crypto';

import { field, listAt } from '../../kube/field.js';
import type { Api } from '../api.js';
import { isOwnedBy, isSame, ownerOf, timestamp, type Fields, type KubeObject } from '../objects.js';
import { forEach } from './loop.js';

const WRITING = { manager: 'kube-controller-manager' };
const STATUS = { ...WRITING, subresource: 'status' } as const;
const HASH = 'pod-template-hash';
const REVISION = 'deployment.kubernetes.io/revision';

const numberAt = (object: unknown, ...path: readonly string[]): number => Number(field(object, ...path) ?? 0);
const templateOf = (object: KubeObject): Fields => field(object, 'spec', 'template') as Fields;

/** A template without the label that tells ReplicaSets apart. */
function plainTemplate(replicaSet: KubeObject): Fields {
  const template = structuredClone(templateOf(replicaSet));
  const labels = field(template, 'metadata', 'labels') as Record<string, string> | undefined;
  if (labels !== undefined) Reflect.deleteProperty(labels, HASH);
  return template;
}

/** Makes ReplicaSets of Deployments, and moves pods from the old one to the new one as the strategy says. */
export async function keepDeployments(api: Api): Promise<void> {
  await forEach(api.store.list(api.kinds.named('Deployment')), async (deployment) => {
    if (deployment.metadata.deletionTimestamp !== undefined) return;
    const sets = api.store
      .list(api.kinds.named('ReplicaSet'), deployment.metadata.namespace)
      .filter((set) => isOwnedBy(set, deployment));
    const current = sets.find((set) => isSame(plainTemplate(set), templateOf(deployment)));
    const old = sets.filter((set) => set !== current);
    if (current === undefined) await createSet(api, deployment, old);
    else await roll(api, deployment, current, old);
  });
}

const revisionOf = (set: KubeObject): number => Number(set.metadata.annotations?.[REVISION] ?? 0);
const lastRevision = (sets: readonly KubeObject[]): number => Math.max(0, ...sets.map(revisionOf));

async function createSet(api: Api, deployment: KubeObject, old: readonly KubeObject[]): Promise<void> {
  const template = structuredClone(templateOf(deployment));
  const digest = createHash('sha256').update(JSON.stringify(template)).digest('hex').slice(0, 10);
  const labels = { ...(field(template, 'metadata', 'labels') as Record<string, string>), [HASH]: digest };
  template['metadata'] = { ...(template['metadata'] as Fields), labels };
  const { name, namespace } = deployment.metadata;
  const matchLabels = { ...(field(deployment, 'spec', 'selector', 'matchLabels') as Fields), [HASH]: digest };
  const revision = String(lastRevision(old) + 1);
  const metadata = {
    ...{ name: `${name}-${digest}`, labels, ownerReferences: [ownerOf(deployment)] },
    annotations: { [REVISION]: revision },
  };
  const spec = { replicas: 0, selector: { matchLabels }, template };
  await api.create(
    api.kinds.named('ReplicaSet'),
    namespace,
    { apiVersion: 'apps/v1', kind: 'ReplicaSet', metadata, spec },
    WRITING,
  );
}

async function roll(
  api: Api,
  deployment: KubeObject,
  current: KubeObject,
  old: readonly KubeObject[],
): Promise<void> {
  const replicas = numberAt(deployment, 'spec', 'replicas');
  const recreates = field(deployment, 'spec', 'strategy', 'type') === 'Recreate';
  const oldPods = old.flatMap((set) => podsOf(api, set));
  const mayStart = !recreates || oldPods.length === 0;
  const mayStop = recreates || numberAt(current, 'status', 'readyReplicas') >= replicas;
  const revision = Math.max(
    revisionOf(current),
    lastRevision(old) + (revisionOf(current) > lastRevision(old) ? 0 : 1),
  );
  if (mayStop) for (const set of old) await scale(api, set, 0, revisionOf(set));
  await scale(api, current, mayStart ? replicas : numberAt(current, 'spec', 'replicas'), revision);
  await api.edit(
    api.kinds.named('Deployment'),
    deployment,
    ({ metadata }) => {
      metadata.annotations = { ...metadata.annotations, [REVISION]: String(revision) };
    },
    WRITING,
  );
  await report(api, deployment, current, oldPods.length);
}

async function scale(api: Api, set: KubeObject, replicas: number, revision: number): Promise<void> {
  await api.edit(
    api.kinds.named('ReplicaSet'),
    set,
    (object) => {
      object['spec'] = { ...(object['spec'] as Fields), replicas };
      object.metadata.annotations = { ...object.metadata.annotations, [REVISION]: String(revision) };
    },
    WRITING,
  );
}

const podsOf = (api: Api, set: KubeObject): readonly KubeObject[] =>
  api.store.list(api.kinds.named('Pod'), set.metadata.namespace).filter((pod) => isOwnedBy(pod, set));

async function report(api: Api, deployment: KubeObject, current: KubeObject, oldPods: number): Promise<void> {
  const replicas = numberAt(deployment, 'spec', 'replicas');
  const [updated, ready] = [
    numberAt(current, 'status', 'replicas'),
    numberAt(current, 'status', 'readyReplicas'),
  ];
  const isDone = updated === replicas && ready === replicas && oldPods === 0;
  const kind = api.kinds.named('Deployment');
  await api.edit(
    kind,
    deployment,
    (object) => {
      const conditions = [
        condition(
          object,
          'Available',
          ready >= replicas,
          ready >= replicas ? 'MinimumReplicasAvailable' : 'MinimumReplicasUnavailable',
        ),
        condition(object, 'Progressing', true, isDone ? 'NewReplicaSetAvailable' : 'ReplicaSetUpdated'),
      ];
      object['status'] = {
        ...{ observedGeneration: deployment.metadata.generation, replicas: updated + oldPods },
        ...{ updatedReplicas: updated, readyReplicas: ready, availableReplicas: ready },
        ...{ unavailableReplicas: Math.max(0, replicas - ready), conditions },
      };
    },
    STATUS,
  );
}

/** A condition, with the time at which it came to be what it is. */
export function condition(object: KubeObject, type: string, holds: boolean, reason: string): Fields {
  const status = holds ? 'True' : 'False';
  const before = listAt(object, 'status', 'conditions').find((one) => field(one, 'type') === type);
  if (field(before, 'status') === status && field(before, 'reason') === reason) return before as Fields;
  const now = timestamp();
  const since = field(before, 'status') === status ? field(before, 'lastTransitionTime') : now;
  const updated = object.kind === 'Pod' ? {} : { lastUpdateTime: now };
  return { type, status, reason, message: reason, lastTransitionTime: since, ...updated };
}

/** Makes pods of ReplicaSets, and counts them. */
export async function keepReplicaSets(api: Api): Promise<void> {
  const [sets, pods] = [api.kinds.named('ReplicaSet'), api.kinds.named('Pod')];
  await forEach(api.store.list(sets), async (set) => {
    if (set.metadata.deletionTimestamp !== undefined) return;
    const owned = podsOf(api, set);
    const alive = owned.filter((pod) => pod.metadata.deletionTimestamp === undefined);
    const wanted = numberAt(set, 'spec', 'replicas');
    for (let count = alive.length; count < wanted; count += 1) await createPod(api, set);
    for (const pod of alive.slice(wanted)) await api.delete(pods, pod.metadata.namespace, pod.metadata.name);
    const ready = alive.filter((pod) => isReady(pod)).length;
    await api.edit(
      sets,
      set,
      (object) => {
        object['status'] = {
          ...{ observedGeneration: set.metadata.generation, replicas: alive.length },
          ...{ readyReplicas: ready, availableReplicas: ready, fullyLabeledReplicas: alive.length },
        };
      },
      STATUS,
    );
  });
}

const isReady = (pod: KubeObject): boolean =>
  listAt(pod, 'status', 'conditions').some(
    (one) => field(one, 'type') === 'Ready' && field(one, 'status') === 'True',
  );

/** A pod of an owner's template. */
export async function createPod(api: Api, owner: KubeObject): Promise<void> {
  const template = structuredClone(templateOf(owner));
  const { labels, annotations } = (template['metadata'] ?? {}) as Pick<
    KubeObject['metadata'],
    'labels' | 'annotations'
  >;
  const metadata = {
    generateName: `${owner.metadata.name}-`,
    ...(labels && { labels }),
    ...(annotations && { annotations }),
    ownerReferences: [ownerOf(owner)],
  } as unknown as KubeObject['metadata'];
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata, spec: template['spec'] };
  await api.create(api.kinds.named('Pod'), owner.metadata.namespace, pod, WRITING);
}
