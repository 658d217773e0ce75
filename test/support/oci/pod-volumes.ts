import { execFileSync } from 'node:child_process';
import { chmod, chown, mkdir, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { field, listAt, textAt } from '../kube/field.js';

/** The keys of a ConfigMap or Secret, decoded. */
export type Keys = Readonly<Record<string, string | Uint8Array>>;

/** What a pod's volumes and variables are made from: objects of its namespace by name, and folders of claims. */
export interface PodSources {
  readonly configMaps?: Readonly<Record<string, Keys>>;
  readonly secrets?: Readonly<Record<string, Keys>>;
  /** Folder of each claim on this machine; it need not exist. */
  readonly claims?: Readonly<Record<string, string>>;
}

/** Folder of each volume on this machine, by name. */
export type PodVolumes = Readonly<Record<string, string>>;

const DEFAULT_MODE = 0o644;

/**
 * Makes the volumes of a PodSpec below `folder` as the kubelet does: files of ConfigMaps and Secrets with their modes,
 * emptyDirs, claims; all of them open to fsGroup. Rejects, naming it, where something is missing that is not optional.
 */
export async function podVolumes(pod: unknown, sources: PodSources, folder: string): Promise<PodVolumes> {
  const group = Number(field(pod, 'securityContext', 'fsGroup') ?? 0);
  const made: Record<string, string> = {};
  for (const volume of listAt(pod, 'volumes')) {
    const name = String(field(volume, 'name'));
    const claim = textAt(volume, 'persistentVolumeClaim', 'claimName');
    if (claim !== '') {
      made[name] = await claimed(claim, sources, group);
      continue;
    }
    const path = join(folder, name);
    await mkdir(path, { recursive: true });
    if (field(volume, 'emptyDir') !== undefined) {
      await chown(path, 0, group);
      await chmod(path, 0o2777);
    } else await filesOf(volume, sources, path, group);
    made[name] = path;
  }
  return made;
}

async function claimed(claim: string, { claims = {} }: PodSources, group: number): Promise<string> {
  const path = claims[claim];
  if (path === undefined) throw new Error(`persistentvolumeclaim "${claim}" not found`);
  await mkdir(path, { recursive: true });
  // OnRootMismatch: what lies on the volume is touched only where its root was not the group's before.
  const { gid, mode } = await stat(path);
  if (gid !== group || (mode & 0o2070) !== 0o2070) {
    execFileSync('chgrp', ['-R', String(group), path]);
    execFileSync('chmod', ['-R', 'g+rwX', path]);
    await chmod(path, 0o2775);
  }
  return path;
}

/** Files of a volume of type configMap, secret or projected. */
async function filesOf(volume: unknown, sources: PodSources, path: string, group: number): Promise<void> {
  const projected = field(volume, 'projected');
  const parts = projected === undefined ? [volume] : listAt(projected, 'sources');
  const volumeMode = field(projected, 'defaultMode');
  await chown(path, 0, group);
  for (const part of parts) {
    for (const kind of ['configMap', 'secret'] as const) {
      const source = field(part, kind);
      if (source === undefined) continue;
      const mode = Number(volumeMode ?? field(source, 'defaultMode') ?? DEFAULT_MODE);
      await project(source, keysOf(kind, source, sources), { path, mode, group });
    }
  }
}

const nameOf = (source: unknown): string => String(field(source, 'secretName') ?? field(source, 'name'));

function keysOf(kind: 'configMap' | 'secret', source: unknown, sources: PodSources): Keys {
  const found = (kind === 'secret' ? sources.secrets : sources.configMaps)?.[nameOf(source)];
  if (found !== undefined) return found;
  if (field(source, 'optional') === true) return {};
  throw new Error(`${kind.toLowerCase()} "${nameOf(source)}" not found`);
}

interface Place {
  readonly path: string;
  readonly mode: number;
  readonly group: number;
}

async function project(source: unknown, keys: Keys, { path, mode, group }: Place): Promise<void> {
  const items = listAt(source, 'items').map((item) => ({
    key: String(field(item, 'key')),
    file: String(field(item, 'path')),
    mode: Number(field(item, 'mode') ?? mode),
  }));
  const wanted = items.length > 0 ? items : Object.keys(keys).map((key) => ({ key, file: key, mode }));
  for (const { key, file, mode: own } of wanted) {
    const content = keys[key];
    if (content === undefined) {
      if (field(source, 'optional') === true) continue;
      throw new Error(`references non-existent key "${key}" of "${nameOf(source)}"`);
    }
    const target = join(path, file);
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, content);
    await chown(target, 0, group);
    // With an fsGroup the kubelet opens every file to it.
    await chmod(target, group === 0 ? own : own | 0o440);
  }
}
