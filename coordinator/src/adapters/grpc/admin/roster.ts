import {
  canonicalText,
  LIMITS,
  parseCanonical,
  parseRoot,
  readRoster,
  readRotation,
  rootDigest,
  TributaryError,
  verifyRoster,
  verifyRotation,
  type FederationRoot,
} from '@tributary/proto';
import type { PublishRosterRequest__Output, PublishRosterResponse } from '@tributary/proto/grpc';

import type { PublishRoster } from '../../../domain/command.js';
import { absentMembers } from '../../../domain/membership.js';
import type { OperatorCaller } from '../caller.js';
import { fromPublishRoster } from '../wire/admin.js';
import type { AdminParts } from './parts.js';

/** Verifies and records a roster. What the coordinator holds gives it no say in it: sites verify it again. */
export async function publishRoster(
  { federation, clock }: AdminParts,
  request: PublishRosterRequest__Output,
  { actor }: OperatorCaller,
): Promise<PublishRosterResponse> {
  const given = fromPublishRoster(request);
  const now = clock.now();
  const root = parseRoot(parseCanonical(given.root, LIMITS.rootBytes));
  const { document: roster, digest } = verifyRoster(root, given.roster, now);
  const command: PublishRoster = {
    kind: 'publish-roster',
    now,
    actor,
    roster,
    digest,
    root: rootDigest(root),
    signatures: new Set(readRoster(given.roster).signatures.map(({ key }) => key)).size,
    document: canonicalText(parseCanonical(given.roster, LIMITS.rosterBytes)),
    ...(given.rotation && { rotation: handover(given.rotation, root) }),
  };
  await federation.execute(command);
  return { version: String(roster.version), digest, absent: [...absentMembers(federation.state)] };
}

/** The hand-over to `next`. That the root which signed it is the one of the federation, the domain checks. */
function handover(bytes: Uint8Array, next: FederationRoot): NonNullable<PublishRoster['rotation']> {
  const { previous } = readRotation(bytes).rotation;
  if (rootDigest(verifyRotation(parseRoot(previous), bytes)) !== rootDigest(next)) {
    throw new TributaryError(
      'ROSTER_INVALID',
      'the rotation hands over to another root than that of the roster',
    );
  }
  const document = canonicalText(parseCanonical(bytes, LIMITS.rootBytes));
  return { previous: rootDigest(previous), document };
}
