import type { ErrorCode } from '@tributary/proto';

/** First message of an upload stream: the signed envelope header. */
export interface UploadOffer {
  readonly uploadId: string;
  /** Canonical JSON of the envelope header, at most LIMITS.envelopeHeaderBytes. */
  readonly header: Uint8Array;
  /** 64 bytes: Ed25519 by the identity key over the `envelope-header` transcript. */
  readonly signature: Uint8Array;
}

/** Last message of an upload stream. */
export interface UploadSeal {
  readonly chunkCount: number;
  /** 32 bytes: SHA-256 over all tags in order. */
  readonly tagsDigest: Uint8Array;
  /** 64 bytes: Ed25519 by the identity key over the `envelope-seal` transcript. */
  readonly signature: Uint8Array;
}

/** The answer to an accepted upload. */
export interface UploadReceipt {
  readonly uploadId: string;
  /** Sequence of the `update.accepted` entry. */
  readonly seq: number;
}

/** How far an upload has come. */
export type UploadStatus =
  | { readonly state: 'Unknown' }
  | { readonly state: 'Receiving'; readonly nextChunk: number }
  | { readonly state: 'Accepted'; readonly seq: number }
  | { readonly state: 'Refused'; readonly code: ErrorCode; readonly detail: string; readonly seq: number };

/**
 * One upload stream. Calls follow each other: the caller awaits `push` before the next one, which is how a slow disk
 * slows the sender down. A call that rejects ends the stream; what it rejects with is what the agent is told.
 */
export interface ReceivingUpload {
  /** Where the update was accepted before: the first answer, to be given again without reading the stream further. */
  readonly receipt: UploadReceipt | undefined;
  /** Index of the chunk that is expected next; a resuming agent asks for it with `UploadReception.status`. */
  readonly nextChunk: number;
  /**
   * Verifies one chunk (ciphertext followed by its tag) and spools it. A chunk before `nextChunk` was verified already
   * and is skipped. Rejects with UPDATE_* codes, and with CONFLICT where a newer stream took the upload over.
   */
  push(index: number, bytes: Uint8Array): Promise<void>;
  /** Verifies the seal, makes the spool durable, records the acceptance, and only then resolves. */
  seal(seal: UploadSeal): Promise<UploadReceipt>;
  /** The stream broke: what was received stays for a resumed upload. Idempotent; harmless after `seal`. */
  abandon(): Promise<void>;
}
