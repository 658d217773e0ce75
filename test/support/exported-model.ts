import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import '@tensorflow/tfjs-backend-cpu';
import { ready, setBackend, tensor, type io, type Tensor } from '@tensorflow/tfjs-core';
import { loadLayersModel } from '@tensorflow/tfjs-layers';
import {
  compileFeatures,
  decodeBase64,
  parseFeaturesFile,
  parseManifest,
  verifyManifest,
  type ModelManifest,
  type Row,
} from '@tributary/proto';

export interface ExportedModel {
  readonly manifest: ModelManifest;
  /** The model's first output for each row. */
  predict(rows: readonly Row[]): Promise<Float32Array>;
}

/** Reads what `tributary models export` wrote as somebody would who has TensorFlow.js and the files, and nothing else. */
export async function loadExportedModel(folder: string): Promise<ExportedModel> {
  const text = async (name: string): Promise<string> => readFile(join(folder, name), 'utf8');
  const manifestBytes = await readFile(join(folder, 'manifest.json'));
  const signature = JSON.parse(await text('signature.json')) as {
    readonly modelKey: string;
    readonly signature: string;
  };
  verifyManifest(
    manifestBytes,
    decodeBase64(signature.modelKey, 'modelKey', 32),
    decodeBase64(signature.signature, 'signature', 64),
  );
  const { features, fit } = parseFeaturesFile(JSON.parse(await text('features.json')));
  const plan = compileFeatures(features, fit);
  const json = JSON.parse(await text('model.json')) as io.ModelJSON;
  const [group] = json.weightsManifest;
  const weightData = new Uint8Array(await readFile(join(folder, group?.paths[0] ?? ''))).buffer;
  await setBackend('cpu');
  await ready();
  const model = await loadLayersModel({
    load: () =>
      Promise.resolve({ modelTopology: json.modelTopology, weightSpecs: group?.weights ?? [], weightData }),
  });
  return {
    manifest: parseManifest(manifestBytes),
    predict: async (rows) => {
      const inputs = new Float32Array(rows.length * plan.width);
      for (const [index, row] of rows.entries()) plan.encode(row, inputs, index * plan.width);
      const output = model.predict(tensor(inputs, [rows.length, ...plan.shape])) as Tensor;
      return (await output.data()) as Float32Array;
    },
  };
}
