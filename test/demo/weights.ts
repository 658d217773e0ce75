import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { bytesToFloat32 } from '@tributary/proto';

import type { LocalFederation } from '../support/federation.js';

/** Exports the newest version of a model as an operator would, and reads its weights. */
export async function exportedWeights(federation: LocalFederation, model: string): Promise<Float32Array> {
  const folder = join(federation.folder, 'models', model);
  await federation.cliText('models', 'export', model, '--to', folder);
  return bytesToFloat32(await readFile(join(folder, 'weights.bin')));
}
