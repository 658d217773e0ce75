import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { execute } from '../kube/charts.js';
import {
  blobPath,
  platformManifests,
  readBlob,
  readJson,
  type ImageConfig,
  type ImageManifest,
} from './layout.js';

export interface UnpackedImage {
  /** Digest of the platform's manifest. */
  readonly digest: string;
  readonly config: ImageConfig;
  /** Its files, shared by all who run it: never written to. */
  readonly rootfs: string;
}

/**
 * Unpacks an image of a layout below `folder`, once per digest, with the owners that its layers name (so as root). Layers
 * of ours delete nothing; a whiteout is refused.
 */
export async function unpackImage(
  layout: string,
  folder: string,
  architecture: string,
): Promise<UnpackedImage> {
  const platforms = await platformManifests(layout);
  const descriptor = platforms.find(({ platform }) => platform?.architecture === architecture);
  if (descriptor === undefined) throw new Error(`${layout} has no image for ${architecture}`);
  const manifest = await readJson<ImageManifest>(layout, descriptor);
  const config = await readJson<ImageConfig>(layout, manifest.config);
  const rootfs = join(folder, descriptor.digest.replace(':', '-'));
  if (!existsSync(rootfs)) {
    await mkdir(folder, { recursive: true });
    const part = await mkdtemp(join(folder, 'part-'));
    try {
      for (const layer of manifest.layers) {
        await readBlob(layout, layer);
        const archive = blobPath(layout, layer.digest);
        const { code, stdout, stderr } = await execute('tar', [
          ...['--extract', '--gzip', '--verbose', '--file', archive, '--directory', part],
          ...['--numeric-owner', '--same-owner', '--same-permissions', '--delay-directory-restore'],
        ]);
        if (code !== 0) throw new Error(stderr);
        if (/(^|\/)\.wh\./m.test(stdout)) throw new Error(`${layer.digest} deletes files`);
      }
      await rename(part, rootfs);
    } catch (error) {
      await rm(part, { recursive: true, force: true });
      throw error;
    }
  }
  return { digest: descriptor.digest, config, rootfs };
}
