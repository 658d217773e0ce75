import type { Digest } from '@tributary/proto';

/** Keeps what has arrived of large blobs: a download goes on where it ended, in a later process too. */
export interface DownloadStore {
  /**
   * What is kept of a blob, nothing at first. While one download of it is open, another one of the same blob is given
   * a file that keeps nothing. Rejects with FORMAT_UNSUPPORTED, STORE_FULL.
   */
  open(digest: Digest): Promise<KeptDownload>;
}

export interface KeptDownload {
  /** What has arrived, in order, up to the first piece that is not as it was written: the rest is forgotten. Comes first. */
  read(): AsyncIterable<Uint8Array>;
  /** Adds a piece of at most LIMITS.chunkBytes. Not synced. Rejects with STORE_FULL. */
  append(piece: Uint8Array): Promise<void>;
  /** Lets go of the file; what has arrived stays. Idempotent. */
  close(): Promise<void>;
  /** Closes it and forgets what has arrived. */
  discard(): Promise<void>;
}
