import { LIMITS } from '@tributary/proto';
import type { BackupChunk } from '@tributary/proto/grpc';

import type { Sink } from '../calls.js';
import type { AdminParts } from './parts.js';

/** The backup's tar stream in messages that fit the limit. */
export async function streamBackup({ backup }: AdminParts, sink: Sink<BackupChunk>): Promise<void> {
  for await (const bytes of backup()) {
    for (let at = 0; at < bytes.length; at += LIMITS.chunkBytes)
      await sink.write({ data: bytes.subarray(at, at + LIMITS.chunkBytes) });
  }
}
