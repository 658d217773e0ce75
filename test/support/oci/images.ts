import { join } from 'node:path';

import { repositoryRoot } from '../daemon.js';
import { execute } from '../kube/charts.js';
import { unpackImage, type UnpackedImage } from './unpack.js';

export type ImageName = 'coordinator' | 'agent';

/** As users start it. */
export const IMAGE_COMMAND = join(repositoryRoot, 'deploy/images/dist/main.js');
/** Beside the builder's own cache: gone with node_modules. */
const FOLDER = join(repositoryRoot, 'node_modules/.cache/tributary-images');

let built: Promise<string> | undefined;

/** The layouts of both images, below the folder that this resolves with; built once in a process, from the builder's cache. */
export function builtLayouts(): Promise<string> {
  built ??= build();
  return built;
}

async function build(): Promise<string> {
  const out = join(FOLDER, 'layouts');
  const { code, stderr } = await execute(process.execPath, [IMAGE_COMMAND, 'build', '--out', out]);
  if (code !== 0) throw new Error(stderr);
  return out;
}

/** The image for this machine's processor, unpacked; its layout is built where need be. */
export async function runnableImage(name: ImageName): Promise<UnpackedImage> {
  return unpackImage(join(await builtLayouts(), name), join(FOLDER, 'rootfs'));
}
