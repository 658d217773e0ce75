import { readFile, stat } from 'node:fs/promises';

import { scaledBy, TributaryError, type FeatureFit, type ModelManifest } from '@tributary/proto';

import { decodeSiteFits, type SiteFits } from '../../app/site-fits.js';
import { fileError } from './file-error.js';

const FIELD = 'serving.fits';

/**
 * The fits of a site in the files of `serving.fits`. Rejects with CONFIG_INVALID where a file is missing, may be read by
 * users beyond its group, is none, or is of another site; with FORMAT_UNSUPPORTED where a newer version wrote it.
 */
async function readSiteFits(paths: readonly string[], site: string): Promise<readonly SiteFits[]> {
  const read: SiteFits[] = [];
  for (const path of paths) {
    const fits = decodeSiteFits(await privateText(path), `${FIELD}: ${path}`);
    if (fits.site !== site) throw invalid(`${path} is of site ${fits.site}, and this is ${site}`);
    read.push(fits);
  }
  return read;
}

/**
 * What the site scales for itself in the rows of a model, of the first file that has it; undefined where the model needs
 * none. Rejects as readSiteFits does, and with CONFIG_INVALID naming the job where no file has it.
 */
export async function exportedFit(
  paths: readonly string[],
  site: string,
  manifest: Pick<ModelManifest, 'name' | 'version' | 'jobId' | 'features'>,
): Promise<FeatureFit | undefined> {
  const { name, version, jobId, features } = manifest;
  const wanted = scaledBy(features, 'Site').map((feature) => feature.name);
  if (wanted.length === 0) return undefined;
  // Read at each load: an export that replaces the file needs no restart.
  const fits = (await readSiteFits(paths, site)).flatMap((file) => file.fits);
  const found = fits.find((fit) => fit.jobId === jobId)?.fit;
  if (found !== undefined) return found;
  throw invalid(
    `no file has what site ${site} learnt of ${wanted.slice(0, 8).join(', ')} in ${jobId}, which ${name}@${String(version)} needs`,
    'On the training agent run `tributary-agent fits export --to FILE`, and name the file in serving.fits.',
  );
}

async function privateText(path: string): Promise<string> {
  try {
    const { mode } = await stat(path);
    // Kubernetes mounts secrets readable by the group.
    if ((mode & 0o007) !== 0) throw invalid(`${path}: other users may read it; run chmod 600 on it`);
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof TributaryError) throw error;
    throw invalid(fileError(error, path).message);
  }
}

const invalid = (detail: string, hint?: string): TributaryError =>
  new TributaryError('CONFIG_INVALID', `${FIELD}: ${detail}`, {
    fields: { field: FIELD },
    ...(hint !== undefined && { hint }),
  });
