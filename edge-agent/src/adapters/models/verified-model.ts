import {
  layoutDigest,
  layoutOf,
  parseManifest,
  startDigest,
  TributaryError,
  WeightsDecoder,
  type ModelManifest,
} from '@tributary/proto';
import type { Chunks } from '@tributary/proto/node';

import type { VerifiedModel } from '../../serving-ports.js';

/** Where the bytes of a version are, for errors. */
export interface ModelPlaces {
  readonly manifest: string;
  readonly weights: string;
}

/**
 * Reads a manifest whose layout is that of its own layers: what is built from them is what the weights belong to.
 * Throws STORE_CORRUPT naming `place`, FORMAT_UNSUPPORTED for a newer one.
 */
export function readManifest(bytes: Uint8Array, place: string): ModelManifest {
  const manifest = parsedManifest(bytes, place);
  const { layers, inputShape } = manifest.topology;
  const own = layoutDigest(manifest.layout) === manifest.layoutDigest;
  if (!own || layoutDigest(layoutOf(layers, inputShape)) !== manifest.layoutDigest)
    throw new TributaryError('STORE_CORRUPT', `${place}: the layout is not that of the layers`);
  return manifest;
}

function parsedManifest(bytes: Uint8Array, place: string): ModelManifest {
  try {
    return parseManifest(bytes);
  } catch (error) {
    const known = TributaryError.from(error);
    if (known.code === 'FORMAT_UNSUPPORTED') throw known;
    throw new TributaryError('STORE_CORRUPT', `${place}: ${known.message}`, { cause: error });
  }
}

/** Reads a version; rejects with STORE_CORRUPT naming the file whose bytes are not those of the manifest. */
export async function verifiedModel(
  manifestBytes: Uint8Array,
  weights: Chunks,
  places: ModelPlaces,
): Promise<VerifiedModel> {
  const manifest = readManifest(manifestBytes, places.manifest);
  const decoder = new WeightsDecoder(manifest.layout);
  try {
    for await (const chunk of verifiedChunks(weights, manifest, places.weights)) decoder.push(chunk);
    return { manifest, manifestBytes, weights: decoder.finish() };
  } catch (error) {
    const known = TributaryError.from(error);
    if (known.code !== 'INVALID_ARGUMENT') throw error;
    throw new TributaryError('STORE_CORRUPT', `${places.weights}: ${known.message}`, { cause: error });
  }
}

/** Passes the weights on and rejects with STORE_CORRUPT at their end where they are others than the manifest says. */
export async function* verifiedChunks(
  weights: Chunks,
  { weightsDigest, layout }: Pick<ModelManifest, 'weightsDigest' | 'layout'>,
  place: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const digest = startDigest();
  const expected = layout.length * Float32Array.BYTES_PER_ELEMENT;
  let bytes = 0;
  for await (const chunk of weights) {
    bytes += chunk.length;
    if (bytes > expected) break;
    digest.update(chunk);
    yield chunk;
  }
  if (bytes !== expected || digest.digest() !== weightsDigest)
    throw new TributaryError(
      'STORE_CORRUPT',
      `${place}: the weights do not match the digest of the manifest`,
      {
        hint: 'fetch or export the version again',
      },
    );
}
