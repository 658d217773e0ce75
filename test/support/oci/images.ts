import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { repositoryRoot } from '../daemon.js';
import { execute } from '../kube/charts.js';
import { unpackImage, type UnpackedImage } from './unpack.js';

export type ImageName = 'coordinator' | 'agent';

/** As users start it. */
export const IMAGE_COMMAND = join(repositoryRoot, 'deploy/images/dist/main.js');
/** The builder's own cache, gone with node_modules; what tests make of images lies beside. */
export const CACHE = join(repositoryRoot, 'node_modules/.cache/tributary-images');

let built: Promise<string> | undefined;

/** The layouts of both images, with one file of each beside, below the folder that this resolves with; built once in a process, from the builder's cache. */
export function builtLayouts(): Promise<string> {
  built ??= build();
  return built;
}

async function build(): Promise<string> {
  const out = join(CACHE, 'layouts');
  const { code, stderr } = await execute(process.execPath, [IMAGE_COMMAND, 'build', '--tar', '--out', out]);
  if (code !== 0) throw new Error(stderr);
  return out;
}

/** An image unpacked for a processor; what was unpacked of it before it changed goes. */
export async function unpackedImage(name: ImageName, architecture: string): Promise<UnpackedImage> {
  const folder = join(CACHE, 'rootfs', `${name}-${architecture}`);
  const image = await unpackImage(join(await builtLayouts(), name), folder, architecture);
  for (const entry of await readdir(folder))
    if (join(folder, entry) !== image.rootfs) await rm(join(folder, entry), { recursive: true, force: true });
  return image;
}

/** The image for this machine's processor; its layout is built where need be. */
export const runnableImage = (name: ImageName): Promise<UnpackedImage> =>
  unpackedImage(name, process.arch === 'arm64' ? 'arm64' : 'amd64');
