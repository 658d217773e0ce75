import { chmod, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { field } from '../../kube/field.js';
import type { Api } from '../api.js';
import type { KubeObject } from '../objects.js';
import type { Controller } from './loop.js';

const WRITING = { manager: 'local-path-provisioner' };

/** Where the volume of a claim lies; the uid tells a claim from one of the same name that is gone. */
export const claimFolder = (folder: string, claim: KubeObject): string =>
  join(folder, `pvc-${claim.metadata.uid ?? ''}`);

/** Binds claims to folders at once, as local-path does, and deletes a folder when its claim goes. */
export function bindClaims(folder: string): Controller {
  const known = new Map<string, string>();
  return async (api: Api) => {
    const claims = api.kinds.named('PersistentVolumeClaim');
    const present = api.store.list(claims);
    for (const claim of present) {
      if (field(claim, 'status', 'phase') === 'Bound') continue;
      const path = claimFolder(folder, claim);
      await mkdir(path, { recursive: true });
      await chmod(path, 0o777);
      known.set(claim.metadata.uid ?? '', path);
      await bind(api, claim);
    }
    const uids = new Set(present.map(({ metadata }) => metadata.uid));
    for (const [uid, path] of known) {
      if (uids.has(uid)) continue;
      known.delete(uid);
      await rm(path, { recursive: true, force: true });
    }
  };
}

async function bind(api: Api, claim: KubeObject): Promise<void> {
  const claims = api.kinds.named('PersistentVolumeClaim');
  const volumeName = `pvc-${claim.metadata.uid ?? ''}`;
  const capacity = { storage: field(claim, 'spec', 'resources', 'requests', 'storage') };
  const accessModes = field(claim, 'spec', 'accessModes');
  const bound = await api.edit(
    claims,
    claim,
    (object) => {
      object['spec'] = { ...(object['spec'] as object), volumeName };
    },
    WRITING,
  );
  if (bound !== undefined)
    await api.edit(
      claims,
      bound,
      (object) => (object['status'] = { phase: 'Bound', accessModes, capacity }),
      {
        ...WRITING,
        subresource: 'status',
      },
    );
}
