import { field } from '../../kube/field.js';
import type { Keys, PodSources } from '../../oci/pod-volumes.js';
import type { Api } from '../api.js';
import { claimFolder } from '../controllers/claims.js';
import type { Fields, KubeObject } from '../objects.js';

/** What the pods of a namespace have their volumes and variables from; of claims those that are bound. */
export function podSources(api: Api, namespace: string | undefined, claims: string): PodSources {
  const all = (kind: string): readonly KubeObject[] => api.store.list(api.kinds.named(kind), namespace);
  const keys = (kind: string): Record<string, Keys> =>
    Object.fromEntries(all(kind).map((object) => [object.metadata.name, keysOf(object)]));
  const bound = all('PersistentVolumeClaim').filter((claim) => field(claim, 'status', 'phase') === 'Bound');
  return {
    configMaps: keys('ConfigMap'),
    secrets: keys('Secret'),
    claims: Object.fromEntries(bound.map((claim) => [claim.metadata.name, claimFolder(claims, claim)])),
  };
}

function keysOf(object: KubeObject): Keys {
  const decoded = (part: string): readonly (readonly [string, Buffer])[] =>
    Object.entries((object[part] ?? {}) as Fields).map(([key, text]) => [
      key,
      Buffer.from(String(text), 'base64'),
    ]);
  if (object.kind === 'Secret') return Object.fromEntries(decoded('data'));
  return { ...(object['data'] as Keys | undefined), ...Object.fromEntries(decoded('binaryData')) };
}
