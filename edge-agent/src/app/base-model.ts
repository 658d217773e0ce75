import {
  LIMITS,
  startDigest,
  TributaryError,
  WeightsDecoder,
  weightsBytes,
  type Digest,
  type Layout,
} from '@tributary/proto';

import { waitAfter } from '../domain/backoff.js';
import type { OpenedRound } from '../domain/order.js';
import type { BlobOwner, Clock, FleetClient, Random } from '../ports.js';
import type { DownloadStore, KeptDownload } from '../transfer-ports.js';
import { pause, uniform } from './pause.js';

export interface DownloadParts {
  /** The channel of the moment; undefined while there is none. */
  readonly client: () => FleetClient | undefined;
  readonly downloads: DownloadStore;
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
  const named = { jobId, round, digest: wanted, bytes: weightsBytes(layout) };
  for await (const bytes of downloadBlob(parts, named, signal)) decoder.push(bytes);
  return decoder.finish();
}

/** A blob, and how long it is where that is known. */
export type NamedBlob = BlobOwner & { readonly digest: Digest; readonly bytes?: number };

/**
 * The bytes of a blob from the first on. An interrupted download goes on where it ended, until `signal` ends it; one of
 * a large blob also in the next process. Rejects with PROOF_INVALID where the whole is not what `digest` names: what
 * came before is then of no use.
 */
export async function* downloadBlob(
  parts: DownloadParts,
  named: NamedBlob,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const kept = await keep(parts, named);
  const digest = startDigest();
  try {
    for await (const bytes of pieces(parts, named, kept, signal)) {
      digest.update(bytes);
      yield bytes;
    }
    if (digest.digest() === named.digest) return;
    await kept?.discard();
    throw new TributaryError('PROOF_INVALID', 'what was downloaded is not what the ledger names');
  } finally {
    await kept?.close();
  }
}

/**
 * Where what arrives is kept; undefined for blobs that are fetched again as fast as they are read, and where the disk
 * takes no more.
 */
async function keep(
  { downloads }: DownloadParts,
  { digest, bytes }: NamedBlob,
): Promise<KeptDownload | undefined> {
  if (bytes === undefined || bytes <= LIMITS.chunkBytes) return undefined;
  try {
    return await downloads.open(digest);
  } catch (error) {
    if (TributaryError.from(error).code === 'STORE_FULL') return undefined;
    throw error;
  }
}

/** What is kept, then what is fetched. */
async function* pieces(
  parts: DownloadParts,
  { bytes: total, ...named }: NamedBlob,
  kept: KeptDownload | undefined,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  let received = 0;
  // Before they are kept: what is too long would be found at every try.
  const count = async (bytes: Uint8Array): Promise<void> => {
    received += bytes.length;
    if (total === undefined || received <= total) return;
    await kept?.discard();
    throw new TributaryError('PROOF_INVALID', 'what was downloaded is longer than what the ledger names');
  };
  for await (const bytes of kept?.read() ?? []) {
    await count(bytes);
    yield bytes;
  }
  let keeps = kept;
  for (let failures = 0; total === undefined || received < total;) {
    const before = received;
    try {
      for await (const bytes of requireClient(parts).fetchBlob({ ...named, offset: before }, signal)) {
        await count(bytes);
        keeps = await append(keeps, bytes);
        yield bytes;
      }
      if (total === undefined) return;
      if (received < total) throw new TributaryError('UNAVAILABLE', 'the download ended early');
    } catch (error) {
      failures = received > before ? 0 : failures + 1;
      await waitFor(parts, TributaryError.from(error), failures, signal);
    }
  }
}

/** Until the next try; throws `error` where none follows. */
async function waitFor(
  { clock, random }: DownloadParts,
  error: TributaryError,
  failures: number,
  signal: AbortSignal,
): Promise<void> {
  if (signal.aborted || !error.retryable) throw error;
  await pause(clock, waitAfter(error, failures, uniform(random)), signal);
}

/** Where the disk takes no more, the download goes on without being kept. */
async function append(kept: KeptDownload | undefined, bytes: Uint8Array): Promise<KeptDownload | undefined> {
  try {
    await kept?.append(bytes);
    return kept;
  } catch {
    await kept?.discard();
    return undefined;
  }
}

function requireClient({ client }: DownloadParts): FleetClient {
  const current = client();
  if (current === undefined) throw new TributaryError('UNAVAILABLE', 'not connected');
  return current;
}
