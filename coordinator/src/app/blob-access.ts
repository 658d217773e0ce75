import { TributaryError, type Digest } from '@tributary/proto';

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
  /** Bytes of the whole blob. */
  readonly size: number;
  /** Bytes from the offset on, in chunks of at most LIMITS.chunkBytes. The agent compares the digest. */
  readonly chunks: AsyncIterable<Uint8Array>;
}

/** Which blobs an agent may fetch: the base model of an open round of its cohort, and nothing else. */
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
    if (request.digest !== open.round.baseDigest) {
      throw new TributaryError('PERMISSION_DENIED', 'the digest is not that of an artefact of this round');
    }
    const size = await this.#blobs.size(request.digest);
    if (size === undefined)
      throw new TributaryError('STORE_CORRUPT', 'the base model of an open round is missing');
    if (!Number.isSafeInteger(request.offset) || request.offset < 0 || request.offset > size) {
      throw new TributaryError('INVALID_ARGUMENT', `offset: 0 to ${String(size)}`, {
        fields: { field: 'offset' },
      });
    }
    return { size, chunks: this.#blobs.readStored(request.digest, request.offset) };
  }
}
