import { open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import {
  bytesToFloat32,
  digestOf,
  encodeBase64,
  featuresFile,
  kerasModel,
  onnxModel,
  type ModelManifest,
} from '@tributary/proto';

import { loadingExample } from './loading-example.js';

/** What an export is for: TensorFlow.js, or runtimes of ONNX. */
export const EXPORT_FORMATS = ['tfjs', 'onnx'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/** Files of an exported model, beside each other in one folder. */
const FILES = {
  topology: 'model.json',
  weights: 'weights.bin',
  onnx: 'model.onnx',
  features: 'features.json',
  manifest: 'manifest.json',
  signature: 'signature.json',
  example: 'example.mjs',
};

export interface ExportParts {
  readonly folder: string;
  readonly format: ExportFormat;
  /** Of the version, verified. */
  readonly manifest: ModelManifest;
  readonly manifestBytes: Uint8Array;
  /** Key of the coordinator's models, and its signature of the manifest. */
  readonly modelKey: Uint8Array;
  readonly signature: Uint8Array;
  /** File in `folder` with the verified weights; it is moved or removed. */
  readonly weightsFile: string;
}

/**
 * Writes the files of an export: the model with its weights, features.json, the signed manifest and a loading example.
 * Rejects with DOCUMENT_UNSUPPORTED or LIMIT_EXCEEDED where the format cannot hold the model.
 */
export async function writeExport(parts: ExportParts): Promise<void> {
  const { folder, format, manifest, manifestBytes } = parts;
  if (format === 'onnx') await writeOnnx(parts);
  else await writeLayersModel(parts);
  await writeJson(join(folder, FILES.features), featuresFile(manifest.features, manifest.fit));
  await writeFile(join(folder, FILES.manifest), manifestBytes);
  await writeJson(join(folder, FILES.signature), {
    formatVersion: 1,
    modelKey: encodeBase64(parts.modelKey),
    manifestDigest: digestOf(manifestBytes),
    signature: encodeBase64(parts.signature),
  });
  await writeFile(join(folder, FILES.example), loadingExample(format));
}

async function writeLayersModel({ folder, manifest, weightsFile }: ExportParts): Promise<void> {
  const { layers, inputShape } = manifest.topology;
  await writeJson(join(folder, FILES.topology), kerasModel(layers, inputShape, FILES.weights));
  await rename(weightsFile, join(folder, FILES.weights));
}

async function writeOnnx({ folder, manifest, manifestBytes, weightsFile }: ExportParts): Promise<void> {
  const { layers, inputShape } = manifest.topology;
  const weights = bytesToFloat32(await readFile(weightsFile));
  await rm(weightsFile);
  const chunks = onnxModel(layers, inputShape, weights, {
    name: manifest.name,
    metadata: {
      version: String(manifest.version),
      manifestDigest: digestOf(manifestBytes),
      weightsDigest: manifest.weightsDigest,
    },
  });
  const file = await open(join(folder, FILES.onnx), 'wx');
  try {
    for (const chunk of chunks) await file.write(chunk);
  } finally {
    await file.close();
  }
}

const writeJson = (path: string, value: unknown): Promise<void> =>
  writeFile(path, `${JSON.stringify(value, null, 2)}\n`);
