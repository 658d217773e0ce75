import {
  encodeBase64,
  encodeJoinToken,
  formatId,
  requireName,
  signingKeyFromSeed,
  TributaryError,
  writtenKind,
} from '@tributary/proto';
import type {
  CreateInvitationRequest__Output,
  Invitation,
  RevokeSiteRequest__Output,
} from '@tributary/proto/grpc';

import type { OperatorCaller } from '../caller.js';
import { fromInvitation, fromRevocation } from '../wire/admin.js';
import type { AdminParts } from './parts.js';

/** Mints a join token. Its secret is in the answer and nowhere else: the ledger holds its public key. */
export async function invite(
  parts: AdminParts,
  request: CreateInvitationRequest__Output,
  caller: OperatorCaller,
): Promise<Invitation> {
  const { federation, clock, random, authority } = parts;
  const wanted = fromInvitation(request);
  const tokenId = formatId('tok', random.bytes(16));
  const seed = random.bytes(32);
  const key = encodeBase64(signingKeyFromSeed(seed).publicKey);
  await federation.execute({
    kind: 'create-token',
    now: clock.now(),
    actor: caller.actor,
    tokenId,
    key,
    ...wanted,
  });
  const created = federation.state.tokens.get(tokenId);
  if (created === undefined) throw new TributaryError('INTERNAL', 'the token is not in the ledger');
  const token = encodeJoinToken({
    tokenId,
    site: wanted.site,
    ...writtenKind(created.kind),
    seed,
    caDigest: authority.digest,
    enrolAddress: parts.enrolAddress(),
  });
  return { tokenId, token, expiresAt: new Date(created.expiresAt).toISOString() };
}

export async function approve(parts: AdminParts, name: string, caller: OperatorCaller): Promise<string> {
  const site = requireName(name, 'site');
  await parts.federation.execute({ kind: 'approve-site', now: parts.clock.now(), actor: caller.actor, site });
  return site;
}

/** Revokes a site, or one of its identities; their streams are told so and their connections end (see AgentStreams and Sessions). */
export async function revoke(
  parts: AdminParts,
  request: RevokeSiteRequest__Output,
  caller: OperatorCaller,
): Promise<string> {
  const wanted = fromRevocation(request);
  const asked = { now: parts.clock.now(), actor: caller.actor };
  await parts.federation.execute({ kind: 'revoke-site', ...asked, ...wanted });
  return wanted.site;
}
