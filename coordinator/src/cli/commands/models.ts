import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { parseManifest, TributaryError, verifyManifest } from '@tributary/proto';

import { writeExport, type ExportFormat } from '../export/export-files.js';
import { fetchManifest, fetchWeights, findVersion, requireVersion } from '../export/model-download.js';
import type { Session } from '../session.js';

export interface ExportOptions {
  readonly to: string;
  readonly format: ExportFormat;
}

/**
 * Writes a registered model version for TensorFlow.js or ONNX with its features, its signed manifest, the signature and
 * a loading example. Every byte is checked against the manifest's digests before the files get their names.
 */
export async function exportModel(
  session: Session,
  reference: string,
  options: ExportOptions,
): Promise<void> {
  const admin = await session.admin();
  const { name, version, signature } = await findVersion(admin, requireVersion(reference));
  const { modelKey } = await admin.unary('GetVersion', {});
  const manifestBytes = await fetchManifest(admin, name, version);
  verifyManifest(manifestBytes, modelKey, signature);
  const manifest = parseManifest(manifestBytes);

  const { format, to: folder } = options;
  await requireEmpty(folder);
  const weightsFile = join(folder, '.weights.part');
  await fetchWeights(session, admin, manifest, weightsFile);
  await writeExport({ folder, format, manifest, manifestBytes, modelKey, signature, weightsFile });
  session.terminal.out(`${manifest.name}@${String(manifest.version)} exported to ${folder}`);
}

async function requireEmpty(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  if ((await readdir(folder)).length > 0)
    throw new TributaryError('ALREADY_EXISTS', `${folder} is not empty`, {
      hint: 'Choose another folder with --to.',
    });
}
