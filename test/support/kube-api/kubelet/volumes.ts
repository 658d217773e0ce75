import { chmod, chown, lchown, mkdir, readdir, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { field, listAt } from '../../kube/field.js';
import type { Api } from '../api.js';
import { claimFolder } from '../controllers/claims.js';
import type { Fields, KubeObject } from '../objects.js';

/** Why a pod has to wait for a volume. */
export class NotReady extends Error {}

export interface VolumePlace {
  readonly api: Api;
  /** Where claims have their folders. */
  readonly claims: string;
  /** The pod's own folder. */
  readonly folder: string;
}

interface File {
  readonly path: string;
  readonly content: Buffer;
  readonly mode: number;
}

/** Prepares the volumes of a pod; gives their folders by name. Throws NotReady where something is missing yet. */
export async function prepareVolumes(
  place: VolumePlace,
  pod: KubeObject,
): Promise<ReadonlyMap<string, string>> {
  const folders = new Map<string, string>();
  for (const volume of listAt(pod, 'spec', 'volumes')) {
    const name = String(field(volume, 'name'));
    folders.set(name, await prepare(place, pod, volume, join(place.folder, 'volumes', name)));
  }
  return folders;
}

async function prepare(
  place: VolumePlace,
  pod: KubeObject,
  volume: unknown,
  folder: string,
): Promise<string> {
  const claim = field(volume, 'persistentVolumeClaim', 'claimName');
  if (typeof claim === 'string') return claimed(place, pod, claim);
  await mkdir(folder, { recursive: true });
  if (field(volume, 'emptyDir') !== undefined) {
    await chmod(folder, 0o777);
    return folder;
  }
  await writeFiles(folder, filesOf(place.api, pod, volume), fsGroupOf(pod));
  return folder;
}

/** Brings files of ConfigMaps and Secrets up to date, as the kubelet does while a pod runs. */
export async function refreshVolumes(
  place: VolumePlace,
  pod: KubeObject,
  folders: ReadonlyMap<string, string>,
): Promise<void> {
  for (const volume of listAt(pod, 'spec', 'volumes')) {
    const folder = folders.get(String(field(volume, 'name')));
    if (folder === undefined || !isOfFiles(volume)) continue;
    const files = filesOf(place.api, pod, volume);
    await writeFiles(folder, files, fsGroupOf(pod));
  }
}

const isOfFiles = (volume: unknown): boolean =>
  ['configMap', 'secret', 'projected'].some((kind) => field(volume, kind) !== undefined);

const fsGroupOf = (pod: KubeObject): number => Number(field(pod, 'spec', 'securityContext', 'fsGroup') ?? 0);

async function claimed({ api, claims }: VolumePlace, pod: KubeObject, name: string): Promise<string> {
  const claim = api.store.get(api.kinds.named('PersistentVolumeClaim'), pod.metadata.namespace, name);
  if (claim === undefined) throw new NotReady(`persistentvolumeclaim "${name}" not found`);
  if (field(claim, 'status', 'phase') !== 'Bound')
    throw new NotReady(`persistentvolumeclaim "${name}" is not bound`);
  const folder = claimFolder(claims, claim);
  const group = fsGroupOf(pod);
  const { gid, mode } = await stat(folder);
  // OnRootMismatch: what lies in a folder that has the group already is left alone.
  const isMatching = gid === group && (mode & 0o2070) === 0o2070;
  if (group !== 0 && !isMatching && process.getuid?.() === 0) await giveGroup(folder, group);
  return folder;
}

async function giveGroup(path: string, group: number): Promise<void> {
  const { mode, uid } = await stat(path);
  const isFolder = (mode & 0o170000) === 0o040000;
  await chown(path, uid, group);
  await chmod(path, (mode & 0o7777) | (isFolder ? 0o2070 : 0o060));
  if (isFolder) for (const name of await readdir(path)) await giveGroup(join(path, name), group);
}

function filesOf(api: Api, pod: KubeObject, volume: unknown): readonly File[] {
  const projected = field(volume, 'projected');
  if (projected === undefined) return sourceFiles(api, pod, volume, 0o644);
  const mode = Number(field(projected, 'defaultMode') ?? 0o644);
  return listAt(projected, 'sources').flatMap((source) => sourceFiles(api, pod, source, mode));
}

/** Files of a ConfigMap or Secret, as a volume or a source of one names it. */
function sourceFiles(api: Api, pod: KubeObject, source: unknown, fallback: number): readonly File[] {
  const [kind, reference] =
    field(source, 'secret') === undefined
      ? (['ConfigMap', field(source, 'configMap')] as const)
      : (['Secret', field(source, 'secret')] as const);
  const name = String(field(reference, 'secretName') ?? field(reference, 'name'));
  const object = api.store.get(api.kinds.named(kind), pod.metadata.namespace, name);
  const isOptional = field(reference, 'optional') === true;
  if (object === undefined) {
    if (isOptional) return [];
    throw new NotReady(`${kind.toLowerCase()} "${name}" not found`);
  }
  const contents = contentsOf(object);
  const mode = Number(field(reference, 'defaultMode') ?? fallback);
  const items = field(reference, 'items') as
    readonly { readonly key: string; readonly path: string; readonly mode?: number }[] | undefined;
  const wanted = items ?? [...contents.keys()].map((key) => ({ key, path: key }));
  return wanted.flatMap((item) => {
    const content = contents.get(item.key);
    if (content !== undefined)
      return [{ path: item.path, content, mode: ('mode' in item ? item.mode : undefined) ?? mode }];
    if (isOptional) return [];
    throw new NotReady(`references non-existent ${kind.toLowerCase()} key: ${item.key}`);
  });
}

/** What a ConfigMap or Secret holds, by key. */
export function contentsOf(object: KubeObject): ReadonlyMap<string, Buffer> {
  const texts = Object.entries((object['data'] ?? {}) as Fields);
  const encoding = object.kind === 'Secret' ? 'base64' : 'utf8';
  const binaries = Object.entries((object['binaryData'] ?? {}) as Fields);
  return new Map([
    ...texts.map(([key, text]) => [key, Buffer.from(String(text), encoding)] as const),
    ...binaries.map(([key, text]) => [key, Buffer.from(String(text), 'base64')] as const),
  ]);
}

/**
 * Writes files as the kubelet does: into a folder with the time in its name, to which `..data` points, so that all change
 * at once. Nothing is written where nothing changed.
 */
async function writeFiles(folder: string, files: readonly File[], group: number): Promise<void> {
  const digest = files
    .map(({ path, content, mode }) => `${path} ${String(mode)} ${content.toString('base64')}`)
    .join('\n');
  const current = written.get(folder);
  if (current?.digest === digest) return;
  const version = `..${String(Date.now())}.${String(Math.random()).slice(2, 8)}`;
  await mkdir(join(folder, version), { mode: 0o755 });
  for (const { path, content, mode } of files) {
    const file = join(folder, version, path);
    await mkdir(join(file, '..'), { recursive: true });
    await writeFile(file, content);
    if (process.getuid?.() === 0) await chown(file, 0, group);
    await chmod(file, group === 0 ? mode : mode | ((mode & 0o400) >> 3));
  }
  await symlink(version, join(folder, '..next'));
  if (process.getuid?.() === 0) await lchown(join(folder, '..next'), 0, group);
  await rename(join(folder, '..next'), join(folder, '..data'));
  await pointTo(folder, files);
  if (current !== undefined) await rm(join(folder, current.version), { recursive: true, force: true });
  written.set(folder, { digest, version });
}

/** What each folder holds. */
const written = new Map<string, { readonly digest: string; readonly version: string }>();

async function pointTo(folder: string, files: readonly File[]): Promise<void> {
  const tops = new Set(files.map(({ path }) => path.split('/')[0] ?? ''));
  const present = (await readdir(folder)).filter((name) => !name.startsWith('..'));
  for (const name of present) if (!tops.has(name)) await rm(join(folder, name));
  for (const name of tops)
    if (!present.includes(name)) await symlink(join('..data', name), join(folder, name));
}
