import { digestOf, requireName } from '@tributary/proto';
import type {
  CreateContextRequest__Output,
  CreateContextResponse,
  RevokeContextRequest__Output,
  RevokeContextResponse,
} from '@tributary/proto/grpc';

import { requestedKey } from '../../pki/certificate-request.js';
import type { OperatorCaller } from '../caller.js';
import { fromContext } from '../wire/admin.js';
import type { AdminParts } from './parts.js';

/** A client certificate for another person or machine, whose key stays with them. */
export async function createContext(
  parts: AdminParts,
  request: CreateContextRequest__Output,
  caller: OperatorCaller,
): Promise<CreateContextResponse> {
  const { federation, authority, clock } = parts;
  const { name, role, csr } = fromContext(request);
  const keyDigest = digestOf(await requestedKey(csr));
  await federation.execute({
    kind: 'create-context',
    now: clock.now(),
    actor: caller.actor,
    context: name,
    role,
    keyDigest,
  });
  const { certificate } = await authority.issueContext(name, csr);
  return { certificate, caCertificate: authority.certificate };
}

/** Takes a certificate's power away: every later message of it is refused, on open connections too. */
export async function revokeContext(
  { federation, clock }: AdminParts,
  request: RevokeContextRequest__Output,
  caller: OperatorCaller,
): Promise<RevokeContextResponse> {
  const name = requireName(request.name, 'name');
  await federation.execute({ kind: 'revoke-context', now: clock.now(), actor: caller.actor, context: name });
  return {};
}
