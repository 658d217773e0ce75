import type { Cosignature } from '@tributary/proto';
import type { Cosignature__Output, CosignatureRecord } from '@tributary/proto/grpc';

import type { SiteCosignature } from '../../../app/cosignatures.js';
import { requireBytes, requireSafeInteger, requireText } from './fields.js';

/** A head that an agent says it has checked, in form; its signature is not yet verified. */
export type OfferedCosignature = Omit<Cosignature, 'agentId' | 'logId'>;

export function fromCosignature(
  message: Cosignature__Output | null | undefined,
  field: string,
): OfferedCosignature | undefined {
  if (message === null || message === undefined) return undefined;
  return {
    treeSize: requireSafeInteger(message.treeSize, `${field}.treeSize`),
    rootHash: requireBytes(message.rootHash, `${field}.rootHash`, { exactly: 32 }),
    time: requireText(message.time, `${field}.time`, 32),
    signature: requireBytes(message.signature, `${field}.signature`, { exactly: 64 }),
  };
}

export function toCosignatureRecord({ identityKey, cosignature }: SiteCosignature): CosignatureRecord {
  const { agentId, treeSize, rootHash, time, signature } = cosignature;
  return { agentId, identityKey, cosignature: { treeSize: String(treeSize), rootHash, time, signature } };
}
