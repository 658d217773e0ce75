import type { Digest } from '@tributary/proto';

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
  /** Bytes from the offset on, in chunks of at most LIMITS.chunkBytes. */
  readonly chunks: AsyncIterable<Uint8Array>;
}

/** Which blobs an agent may fetch: the artefacts of orders that it was sent, and nothing else. */
export interface BlobAccess {
  /** Rejects with NOT_IN_COHORT, UPDATE_WRONG_ROUND, PERMISSION_DENIED, NOT_FOUND, INVALID_ARGUMENT. */
  open(agentId: string, request: BlobRequest): Promise<BlobDownload>;
}
