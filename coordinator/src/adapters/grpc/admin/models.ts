import { TributaryError, type Digest } from '@tributary/proto';
import type { FetchModelBlobRequest__Output, ModelBlobChunk } from '@tributary/proto/grpc';

import type { FederationState, ModelVersionState } from '../../../domain/federation-state.js';
import type { Sink } from '../calls.js';
import { fromModelBlob, type ModelBlobRequest } from '../wire/admin.js';
import { invalid } from '../wire/fields.js';
import type { AdminParts } from './parts.js';

/** Manifest or weights of a registered version, from an offset; no other blob. Rejects with STORE_CORRUPT where it was altered. */
export async function fetchModelBlob(
  { federation, blobs }: AdminParts,
  request: FetchModelBlobRequest__Output,
  sink: Sink<ModelBlobChunk>,
): Promise<void> {
  const wanted = fromModelBlob(request);
  const digest = digestOf(findVersion(federation.state, wanted), wanted.digest);
  const size = await blobs.size(digest);
  if (size === undefined)
    throw new TributaryError('STORE_CORRUPT', `blob ${digest} of a registered model is missing`);
  if (wanted.offset > size) throw invalid('offset', `at most ${String(size)}, the size of the blob`);
  let at = 0;
  // From the beginning, whatever is wanted of it: so it is known at the end whether it is whole.
  for await (const chunk of blobs.read(digest)) {
    const data = chunk.subarray(Math.max(0, wanted.offset - at));
    at += chunk.length;
    if (data.length > 0) await sink.write({ offset: String(at - data.length), data });
  }
}

function findVersion(state: FederationState, { model, version }: ModelBlobRequest): ModelVersionState {
  const versions = state.models.get(model)?.versions ?? [];
  const found = version === 0 ? versions.at(-1) : versions.find((candidate) => candidate.version === version);
  if (found !== undefined) return found;
  const what = version === 0 ? `model ${model}` : `version ${String(version)} of model ${model}`;
  throw new TributaryError('NOT_FOUND', `no ${what} is registered`, { hint: 'tributary get models' });
}

function digestOf(version: ModelVersionState, wanted: Digest | undefined): Digest {
  if (wanted === undefined) return version.manifestDigest;
  if (wanted === version.manifestDigest || wanted === version.weightsDigest) return wanted;
  throw new TributaryError('NOT_FOUND', `version ${String(version.version)} names no blob ${wanted}`);
}
