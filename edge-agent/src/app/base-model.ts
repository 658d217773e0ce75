import {
  startDigest,
  TributaryError,
  WeightsDecoder,
  weightsBytes,
  type Digest,
  type Layout,
} from '@tributary/proto';

import { backoffMs } from '../domain/backoff.js';
import type { OpenedRound } from '../domain/order.js';
import type { BlobOwner, Clock, FleetClient, Random } from '../ports.js';
import { pause, uniform } from './pause.js';

export interface DownloadParts {
  /** The channel of the moment; undefined while there is none. */
  readonly client: () => FleetClient | undefined;
  readonly clock: Clock;
  readonly random: Random;
}

/** The base model of a round, straight into the vector that the trainer gets. Rejects as downloadVector does. */
export function downloadBase(
  parts: DownloadParts,
  { opened, model }: OpenedRound,
  signal: AbortSignal,
): Promise<Float32Array> {
  const { jobId, round, baseDigest } = opened;
  return downloadVector(parts, { jobId, round, digest: baseDigest, layout: model }, signal);
}

/** A vector that `round.opened` names. */
export interface NamedVector {
  readonly jobId: string;
  readonly round: number;
  readonly digest: Digest;
  readonly layout: Layout;
}

/**
 * Downloads a vector. An interrupted download goes on where it ended, until `signal` ends it. Rejects with PROOF_INVALID
 * where the bytes are not those that the ledger names.
 */
export async function downloadVector(
  parts: DownloadParts,
  { jobId, round, digest: wanted, layout }: NamedVector,
  signal: AbortSignal,
): Promise<Float32Array> {
  const decoder = new WeightsDecoder(layout);
  const digest = startDigest();
  const named = { jobId, round, digest: wanted, bytes: weightsBytes(layout) };
  for await (const bytes of downloadBlob(parts, named, signal)) {
    decoder.push(bytes);
    digest.update(bytes);
  }
  if (digest.digest() !== wanted)
    throw new TributaryError(
      'PROOF_INVALID',
      'the base model or its statistics are not those that the ledger names',
    );
  return decoder.finish();
}

/** A blob, and how long it is where that is known. */
export type NamedBlob = BlobOwner & { readonly digest: Digest; readonly bytes?: number };

/**
 * The bytes of a blob from the first on. An interrupted download goes on where it ended, until `signal` ends it; what
 * has arrived is the caller's to compare with the digest.
 */
export async function* downloadBlob(
  parts: DownloadParts,
  { bytes: total, ...named }: NamedBlob,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  let received = 0;
  for (let failures = 0; total === undefined || received < total;) {
    const before = received;
    try {
      for await (const bytes of requireClient(parts).fetchBlob({ ...named, offset: before }, signal)) {
        received += bytes.length;
        yield bytes;
      }
      if (total === undefined) return;
      if (received < total) throw new TributaryError('UNAVAILABLE', 'the download ended early');
    } catch (error) {
      if (signal.aborted || !TributaryError.from(error).retryable) throw error;
      failures = received > before ? 0 : failures + 1;
      await pause(parts.clock, backoffMs(failures, uniform(parts.random)), signal);
    }
  }
}

function requireClient({ client }: DownloadParts): FleetClient {
  const current = client();
  if (current === undefined) throw new TributaryError('UNAVAILABLE', 'not connected');
  return current;
}
