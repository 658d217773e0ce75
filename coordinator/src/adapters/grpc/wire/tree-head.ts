import { type SignedTreeHead } from '@tributary/proto';
import type { SignedTreeHead as TreeHeadMessage, SignedTreeHead__Output } from '@tributary/proto/grpc';

import { requireBytes, requireSafeInteger, requireText } from './fields.js';

export function toTreeHeadMessage(head: SignedTreeHead): TreeHeadMessage {
  return {
    logId: head.logId,
    treeSize: String(head.treeSize),
    rootHash: head.rootHash,
    time: head.time,
    signature: head.signature,
  };
}

/** The tree head that an agent says it has verified; undefined where it knows none (absent, or of size 0). */
export function fromTreeHeadMessage(
  message: SignedTreeHead__Output | null | undefined,
  field: string,
): SignedTreeHead | undefined {
  if (message === null || message === undefined) return undefined;
  const treeSize = requireSafeInteger(message.treeSize, `${field}.treeSize`);
  if (treeSize === 0) return undefined;
  return {
    logId: requireText(message.logId, `${field}.logId`, 64),
    treeSize,
    rootHash: requireBytes(message.rootHash, `${field}.rootHash`, { exactly: 32 }),
    time: requireText(message.time, `${field}.time`, 32),
    signature: requireBytes(message.signature, `${field}.signature`, { exactly: 64 }),
  };
}
