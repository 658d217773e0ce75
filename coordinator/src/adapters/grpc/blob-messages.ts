import { LIMITS } from '@tributary/proto';
import type { handleServerStreamingCall } from '@grpc/grpc-js';
import { Fleet, type FetchBlobRequest__Output, type FleetHandlers } from '@tributary/proto/grpc';

import type { BlobDownload } from '../../app/blob-access.js';

/** A BlobChunk, serialised. */
export interface BlobMessage {
  readonly bytes: Buffer;
  /** Bytes of the blob in it. */
  readonly length: number;
}

/** The handlers of the fleet service, with downloads that are serialised before they are written. */
export type FleetService = Pick<
  FleetHandlers,
  'Connect' | 'GetUploadStatus' | 'SubmitUpdate' | 'SubmitStage' | 'GetStage'
> & {
  readonly FetchBlob: handleServerStreamingCall<FetchBlobRequest__Output, Buffer>;
};

/** The fleet service as {@link FleetService} serves it: the bytes on the wire are those of the generated definition. */
export const fleetDefinition = {
  ...Fleet.service,
  FetchBlob: { ...Fleet.service.FetchBlob, responseSerialize: (message: Buffer): Buffer => message },
};

/**
 * Chunks of blobs as messages, each read and serialised once for all who download at about the same time. What is kept
 * is bounded, whatever the number of readers and the size of the blob, and dropped with the last reader.
 */
export class BlobMessages {
  /** By digest and offset, the oldest first. */
  readonly #kept = new Map<string, Promise<BlobMessage>>();
  #readers = 0;

  /** The messages of a blob from `offset` on. */
  async *read(blob: BlobDownload, offset: number): AsyncGenerator<BlobMessage, void, undefined> {
    this.#readers += 1;
    try {
      for (let at = offset; at < blob.size;) {
        const message = await this.#message(blob, at);
        at += message.length;
        yield message;
      }
    } finally {
      this.#readers -= 1;
      if (this.#readers === 0) this.#kept.clear();
    }
  }

  #message(blob: BlobDownload, offset: number): Promise<BlobMessage> {
    const key = `${blob.digest} ${String(offset)}`;
    const kept = this.#kept.get(key);
    if (kept !== undefined) return kept;
    const message = serialised(blob, offset);
    this.#kept.set(key, message);
    if (this.#kept.size > LIMITS.blobMessagesKept) this.#kept.delete(this.#kept.keys().next().value ?? '');
    message.catch(() => {
      // The next reader tries again.
      if (this.#kept.get(key) === message) this.#kept.delete(key);
    });
    return message;
  }
}

async function serialised(blob: BlobDownload, offset: number): Promise<BlobMessage> {
  const data = await blob.chunkAt(offset);
  const bytes = Fleet.service.FetchBlob.responseSerialize({ offset: String(offset), data });
  return { bytes, length: data.length };
}
