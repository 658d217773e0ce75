import { open } from 'node:fs/promises';

import {
  decodeBase64,
  ENTRY_BODIES,
  isJsonObject,
  LIMITS,
  parseCanonical,
  startDigest,
  TributaryError,
  type ModelManifest,
} from '@tributary/proto';

import type { AdminConnection } from '../admin-connection.js';
import { startProgress } from '../output/progress.js';
import type { Session } from '../session.js';

export interface FoundVersion {
  readonly name: string;
  readonly version: number;
  readonly signature: Uint8Array;
}

/** The version asked for, or the newest, with the signature that the ledger records of it. */
export async function findVersion(
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
export function requireVersion(reference: string): { readonly name: string; readonly version: number } {
  const match = /^([a-z0-9.-]+)(?:@([1-9][0-9]{0,8}))?$/.exec(reference);
  if (match?.[1] === undefined)
    throw new TributaryError('USAGE', `${reference}: name a model as NAME or NAME@VERSION`);
  return { name: match[1], version: Number(match[2] ?? 0) };
}

export async function fetchManifest(
  admin: AdminConnection,
  model: string,
  version: number,
): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of admin.stream('FetchModelBlob', { model, version, digest: '', offset: '0' })) {
    size += chunk.data.length;
    if (size > LIMITS.documentBytes * 16)
      throw new TributaryError('LIMIT_EXCEEDED', 'the manifest is larger than a manifest can be');
    chunks.push(chunk.data);
  }
  const bytes = Buffer.concat(chunks);
  if (!isJsonObject(parseCanonical(bytes, bytes.length)))
    throw new TributaryError('UPDATE_CORRUPT', 'the manifest is not an object');
  return bytes;
}

/** Writes the weights of a version to `path`, checked against the digest of its manifest. */
export async function fetchWeights(
  session: Session,
  admin: AdminConnection,
  manifest: ModelManifest,
  path: string,
): Promise<void> {
  const total = manifest.layout.length * Float32Array.BYTES_PER_ELEMENT;
  const progress = startProgress(session.terminal, manifest.name, total, 'bytes');
  const file = await open(path, 'wx');
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
}
