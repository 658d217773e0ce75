import { LIMITS, TributaryError, type Digest } from '@tributary/proto';

import type { BlobStore } from '../ports.js';
import type { Federation } from './federation.js';
import { unfinishedRounds } from './round-ref.js';
import { requireAgent } from './upload-admission.js';

export interface BlobRequest {
  readonly jobId: string;
  readonly round: number;
  readonly digest: Digest;
  /** Byte to begin with. */
  readonly offset: number;
}

export interface BlobDownload {
  readonly digest: Digest;
  /** Bytes of the whole blob. */
  readonly size: number;
  /**
   * Bytes from `offset`, below `size`, to the next multiple of LIMITS.chunkBytes at most: downloads that began at
   * different places come to ask for the same chunks. The agent compares the digest.
   */
  chunkAt(offset: number): Promise<Uint8Array>;
}

/** Which blobs an agent may fetch: base model and statistics of an open round of its cohort, and nothing else. */
export class BlobAccess {
  readonly #federation: Federation;
  readonly #blobs: BlobStore;

  constructor(federation: Federation, blobs: BlobStore) {
    this.#federation = federation;
    this.#blobs = blobs;
  }

  /** Rejects with UPDATE_WRONG_ROUND, NOT_IN_COHORT, PERMISSION_DENIED, INVALID_ARGUMENT, STORE_CORRUPT. */
  async open(agentId: string, request: BlobRequest): Promise<BlobDownload> {
    const { state } = this.#federation;
    const agent = requireAgent(state, agentId);
    const open = unfinishedRounds(state).find(
      ({ round }) => round.jobId === request.jobId && round.round === request.round,
    );
    if (open === undefined) throw new TributaryError('UPDATE_WRONG_ROUND', 'the round is not open');
    const member = open.round.cohort.get(agent.site);
    if (member?.agentId !== agentId)
      throw new TributaryError('NOT_IN_COHORT', 'the site is not in the cohort of this round');
    if (request.digest !== open.round.baseDigest && request.digest !== open.round.statisticsDigest) {
      throw new TributaryError('PERMISSION_DENIED', 'the digest is not that of an artefact of this round');
    }
    const size = await this.#blobs.size(request.digest);
    if (size === undefined)
      throw new TributaryError('STORE_CORRUPT', 'an artefact of an open round is missing');
    if (!Number.isSafeInteger(request.offset) || request.offset < 0 || request.offset > size) {
      throw new TributaryError('INVALID_ARGUMENT', `offset: 0 to ${String(size)}`, {
        fields: { field: 'offset' },
      });
    }
    const { digest } = request;
    return { digest, size, chunkAt: (offset) => this.#chunkAt(digest, offset) };
  }

  async #chunkAt(digest: Digest, offset: number): Promise<Uint8Array> {
    for await (const chunk of this.#blobs.readStored(digest, offset))
      return chunk.subarray(0, LIMITS.chunkBytes - (offset % LIMITS.chunkBytes));
    throw new TributaryError('STORE_CORRUPT', 'an artefact of an open round is shorter than it was');
  }
}
