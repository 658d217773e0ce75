import {
  digestOf,
  LIMITS,
  parseManifest,
  TributaryError,
  verifyManifest,
  weightsBytes,
} from '@tributary/proto';

import type { RegisteredVersion, VerifiedRollout } from '../domain/rollout-order.js';
import type { ModelRef, ModelStore } from '../serving-ports.js';
import { downloadBlob, type DownloadParts } from './base-model.js';

export interface ModelDownloadParts extends DownloadParts {
  readonly models: ModelStore;
  /** The key of model manifests that was pinned when the agent joined, 32 bytes. */
  readonly modelKey: Uint8Array;
}

/** The lineage of ten thousand rounds and the largest layout fit. */
const MANIFEST_BYTES = 16 * LIMITS.documentBytes;

/**
 * Brings the version of a rollout into the store, unless it is there: the manifest first, whose signature and digest
 * say what the weights must be. An interrupted download goes on where it ended, until `signal` ends it. Rejects with
 * SIGNATURE_INVALID, PROOF_INVALID, FORMAT_UNSUPPORTED, LIMIT_EXCEEDED, and what the store rejects with.
 */
export async function downloadModel(
  parts: ModelDownloadParts,
  rollout: VerifiedRollout & { readonly serves: RegisteredVersion },
  signal: AbortSignal,
): Promise<ModelRef> {
  const { model, version, rolloutId, serves } = rollout;
  const ref = { name: model, version };
  if (await isHeld(parts, ref, serves)) return ref;
  const named = { rolloutId, digest: serves.manifestDigest };
  const manifestBytes = await gather(downloadBlob(parts, named, signal));
  verifyManifest(manifestBytes, parts.modelKey, serves.signature);
  const manifest = parseManifest(manifestBytes);
  if (
    manifest.name !== model ||
    manifest.version !== version ||
    manifest.weightsDigest !== serves.weightsDigest
  )
    throw new TributaryError('PROOF_INVALID', 'the manifest is of another version than the ledger says');
  const weights = downloadBlob(
    parts,
    { rolloutId, digest: serves.weightsDigest, bytes: weightsBytes(manifest.layout) },
    signal,
  );
  return parts.models.put({ manifestBytes, signature: serves.signature, weights });
}

/** Whether the store holds this very version whole; a damaged one is fetched again. */
async function isHeld(
  { models, modelKey }: ModelDownloadParts,
  ref: ModelRef,
  { manifestDigest, signature }: RegisteredVersion,
): Promise<boolean> {
  try {
    const { manifestBytes } = await models.open(ref);
    verifyManifest(manifestBytes, modelKey, signature);
    return digestOf(manifestBytes) === manifestDigest;
  } catch (error) {
    if (['NOT_FOUND', 'STORE_CORRUPT'].includes(TributaryError.from(error).code)) return false;
    throw error;
  }
}

async function gather(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const piece of pieces) {
    length += piece.length;
    if (length > MANIFEST_BYTES)
      throw new TributaryError('LIMIT_EXCEEDED', `a manifest has at most ${String(MANIFEST_BYTES)} bytes`);
    parts.push(Uint8Array.from(piece));
  }
  return new Uint8Array(Buffer.concat(parts));
}
