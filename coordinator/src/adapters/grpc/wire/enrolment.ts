import { LIMITS, requireId } from '@tributary/proto';
import type { EnrollRequest__Output, RenewRequest__Output } from '@tributary/proto/grpc';

import { requireBytes } from './fields.js';
import { fromVersions } from './fleet.js';

export interface EnrolmentOffer {
  readonly versions: readonly string[];
  readonly tokenId: string;
  readonly identityKey: Uint8Array;
  readonly csr: Uint8Array;
  readonly tokenSignature: Uint8Array;
  readonly identitySignature: Uint8Array;
}

export interface RenewalOffer {
  readonly agentId: string;
  readonly nonce: Uint8Array;
  readonly csr: Uint8Array;
  readonly identitySignature: Uint8Array;
}

export function fromEnroll(request: EnrollRequest__Output): EnrolmentOffer {
  return {
    versions: fromVersions(request.versions),
    tokenId: requireId(request.tokenId, 'tok', 'tokenId'),
    identityKey: requireBytes(request.identityKey, 'identityKey', { exactly: 32 }),
    csr: requireBytes(request.csr, 'csr', { most: LIMITS.certificateRequestBytes }),
    tokenSignature: requireBytes(request.tokenSignature, 'tokenSignature', { exactly: 64 }),
    identitySignature: requireBytes(request.identitySignature, 'identitySignature', { exactly: 64 }),
  };
}

export function fromRenew(request: RenewRequest__Output): RenewalOffer {
  return {
    agentId: requireId(request.agentId, 'agt', 'agentId'),
    nonce: requireBytes(request.nonce, 'nonce', { exactly: 32 }),
    csr: requireBytes(request.csr, 'csr', { most: LIMITS.certificateRequestBytes }),
    identitySignature: requireBytes(request.identitySignature, 'identitySignature', { exactly: 64 }),
  };
}
