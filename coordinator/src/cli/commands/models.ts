import { mkdir, open, readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import {
  decodeBase64,
  digestOf,
  encodeBase64,
  ENTRY_BODIES,
  featuresFile,
  isJsonObject,
  kerasModel,
  LIMITS,
  parseCanonical,
  parseManifest,
  startDigest,
  TributaryError,
  verifyManifest,
  type ModelManifest,
} from '@tributary/proto';

import { startProgress } from '../output/progress.js';
import type { AdminConnection } from '../admin-connection.js';
import type { Session } from '../session.js';

export interface ExportOptions {
  readonly to: string;
}

/** Files of an exported model, beside each other in one folder. */
const FILES = {
  topology: 'model.json',
  weights: 'weights.bin',
  features: 'features.json',
  manifest: 'manifest.json',
  signature: 'signature.json',
};

/**
 * Writes a registered model version as a TensorFlow.js layers model with its features, its signed manifest and the
 * signature. Every byte is checked against the manifest's digests before the files get their names.
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

  await requireEmpty(options.to);
  await fetchWeights(session, admin, manifest, options.to);
  const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;
  await writeFile(
    join(options.to, FILES.topology),
    json(kerasModel(manifest.topology.layers, manifest.topology.inputShape, FILES.weights)),
  );
  await writeFile(join(options.to, FILES.features), json(featuresFile(manifest.features, manifest.fit)));
  await writeFile(join(options.to, FILES.manifest), manifestBytes);
  const detached = {
    modelKey: encodeBase64(modelKey),
    manifestDigest: digestOf(manifestBytes),
    signature: encodeBase64(signature),
  };
  await writeFile(join(options.to, FILES.signature), json({ formatVersion: 1, ...detached }));
  session.terminal.out(`${manifest.name}@${String(manifest.version)} exported to ${options.to}`);
}

interface FoundVersion {
  readonly name: string;
  readonly version: number;
  readonly signature: Uint8Array;
}

/** The version asked for, or the newest, with the signature that the ledger records of it. */
async function findVersion(
  admin: AdminConnection,
  wanted: { readonly name: string; readonly version: number },
): Promise<FoundVersion> {
  const { events } = await admin.unary('DescribeObject', { kind: 'Model', name: wanted.name });
  const found = events
    .filter((event) => event.type === 'model.registered')
    .map((event) =>
      ENTRY_BODIES['model.registered'].parse(parseCanonical(event.body, LIMITS.ledgerEntryBytes)),
    )
    .filter((body) => wanted.version === 0 || body.version === wanted.version)
    .at(-1);
  if (found === undefined) {
    throw new TributaryError('NOT_FOUND', `${wanted.name} has no version ${String(wanted.version)}`, {
      hint: `tributary models get ${wanted.name}`,
    });
  }
  return { name: found.model, version: found.version, signature: decodeBase64(found.signature, 'signature') };
}

/** "loans" is the newest version (0), "loans@3" the third. */
function requireVersion(reference: string): { readonly name: string; readonly version: number } {
  const match = /^([a-z0-9.-]+)(?:@([1-9][0-9]{0,8}))?$/.exec(reference);
  if (match?.[1] === undefined)
    throw new TributaryError('USAGE', `${reference}: name a model as NAME or NAME@VERSION`);
  return { name: match[1], version: Number(match[2] ?? 0) };
}

async function fetchManifest(admin: AdminConnection, model: string, version: number): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of admin.stream('FetchModelBlob', { model, version, digest: '', offset: '0' })) {
    size += chunk.data.length;
    if (size > LIMITS.documentBytes * 4)
      throw new TributaryError('LIMIT_EXCEEDED', 'the manifest is larger than a manifest can be');
    chunks.push(chunk.data);
  }
  const bytes = Buffer.concat(chunks);
  if (!isJsonObject(parseCanonical(bytes, bytes.length)))
    throw new TributaryError('UPDATE_CORRUPT', 'the manifest is not an object');
  return bytes;
}

async function fetchWeights(
  session: Session,
  admin: AdminConnection,
  manifest: ModelManifest,
  folder: string,
): Promise<void> {
  const total = manifest.layout.length * Float32Array.BYTES_PER_ELEMENT;
  const progress = startProgress(session.terminal, manifest.name, total, 'bytes');
  const temporary = join(folder, `.${FILES.weights}.part`);
  const file = await open(temporary, 'wx');
  try {
    const digest = startDigest();
    let received = 0;
    const request = {
      model: manifest.name,
      version: manifest.version,
      digest: manifest.weightsDigest,
      offset: '0',
    };
    for await (const chunk of admin.stream('FetchModelBlob', request, session.signal)) {
      received += chunk.data.length;
      if (received > total) break;
      digest.update(chunk.data);
      await file.write(chunk.data);
      progress.update(received);
    }
    if (received !== total || digest.digest() !== manifest.weightsDigest) {
      throw new TributaryError('STORE_CORRUPT', 'the weights do not match the digest of their manifest', {
        hint: 'Export again; if it fails again, restore the coordinator from a backup.',
      });
    }
    await file.sync();
  } finally {
    progress.stop();
    await file.close();
  }
  await rename(temporary, join(folder, FILES.weights));
}

async function requireEmpty(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  if ((await readdir(folder)).length > 0)
    throw new TributaryError('ALREADY_EXISTS', `${folder} is not empty`, {
      hint: 'Choose another folder with --to.',
    });
}
