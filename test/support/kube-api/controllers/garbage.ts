import type { Api } from '../api.js';
import type { Kind } from '../kinds.js';
import { isOwnedBy, type KubeObject } from '../objects.js';

const WRITING = { manager: 'kube-controller-manager' };
const OF_DELETION = ['foregroundDeletion', 'orphan'];

const entriesOf = (api: Api): readonly (readonly [Kind, KubeObject])[] =>
  api.kinds.all.flatMap((kind) => api.store.list(kind).map((object) => [kind, object] as const));

/** Deletes what has lost its owners, and finishes deletions that wait for what is owned. */
export async function collectGarbage(api: Api): Promise<void> {
  const entries = entriesOf(api);
  const uids = new Set(entries.map(([, { metadata }]) => metadata.uid));
  for (const [kind, object] of entries) {
    const { ownerReferences = [], deletionTimestamp, namespace, name } = object.metadata;
    const isLost = ownerReferences.length > 0 && ownerReferences.every(({ uid }) => !uids.has(uid));
    if (isLost && deletionTimestamp === undefined) await api.delete(kind, namespace, name);
    for (const finalizer of OF_DELETION)
      if (object.metadata.finalizers?.includes(finalizer) === true)
        await finish(api, kind, object, finalizer, entries);
  }
}

async function finish(
  api: Api,
  kind: Kind,
  owner: KubeObject,
  finalizer: string,
  entries: readonly (readonly [Kind, KubeObject])[],
): Promise<void> {
  const owned = entries.filter(([, object]) => isOwnedBy(object, owner));
  for (const [of, object] of owned) {
    const { namespace, name, deletionTimestamp } = object.metadata;
    if (finalizer === 'orphan') {
      await api.edit(
        of,
        object,
        ({ metadata }) => {
          metadata.ownerReferences = (metadata.ownerReferences ?? []).filter(
            ({ uid }) => uid !== owner.metadata.uid,
          );
        },
        WRITING,
      );
    } else if (deletionTimestamp === undefined)
      await api.delete(of, namespace, name, of.kind === 'Pod' ? {} : { propagation: 'Foreground' });
  }
  if (finalizer !== 'orphan' && owned.length > 0) return;
  await api.edit(
    kind,
    owner,
    ({ metadata }) => {
      metadata.finalizers = (metadata.finalizers ?? []).filter((one) => one !== finalizer);
    },
    WRITING,
  );
}

/** Gives namespaces their account, and empties those that end. */
export async function keepNamespaces(api: Api): Promise<void> {
  const kind = api.kinds.named('Namespace');
  const account = api.kinds.named('ServiceAccount');
  for (const namespace of api.store.list(kind)) {
    const { name, deletionTimestamp } = namespace.metadata;
    if (deletionTimestamp === undefined) {
      if (api.store.get(account, name, 'default') === undefined)
        await api.create(
          account,
          name,
          { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default' } },
          WRITING,
        );
      continue;
    }
    const within = entriesOf(api).filter(([, { metadata }]) => metadata.namespace === name);
    for (const [of, { metadata }] of within)
      if (metadata.deletionTimestamp === undefined) await api.delete(of, name, metadata.name);
    if (within.length === 0) api.store.remove(kind, namespace);
  }
}
