import { readRoster, TributaryError, type EntryOf, type NewEntry } from '@tributary/proto';

import type { PublishRoster } from './command.js';
import type { AgentState, FederationState, MembershipState } from './federation-state.js';

/**
 * What publishing a roster records. The signatures were verified by whoever made the command; here it may only take the
 * place of an older one of the same root, or of one whose root hands over to this one. The same again changes nothing.
 */
export function decideRoster(state: FederationState, command: PublishRoster): readonly NewEntry[] {
  const { roster, document, root, rotation, actor } = command;
  const known = state.membership;
  if (known?.digest === command.digest) return [];
  if (known !== undefined && roster.version <= known.version) {
    throw new TributaryError(
      'CONFLICT',
      `version ${String(known.version)} of the roster is published; the next one counts above it`,
      { hint: 'change the newest roster: `tributary federation roster` raises its version' },
    );
  }
  const place = { actor, subject: 'federation' };
  const published: NewEntry = {
    type: 'roster.published',
    ...place,
    body: {
      federation: roster.federation,
      version: roster.version,
      digest: command.digest,
      root,
      signatures: command.signatures,
      members: roster.members.length,
      expires: roster.expires,
      document,
    },
  };
  if (known === undefined || known.root === root) {
    if (rotation === undefined) return [published];
    throw new TributaryError('CONFLICT', 'there is no other root that could hand over to this one');
  }
  if (rotation?.previous !== known.root) {
    throw new TributaryError(
      'CONFLICT',
      `the roster is of root ${root}, but that of the federation is ${known.root}`,
      { hint: 'to change the root give the hand-over that the old one signed: --rotation' },
    );
  }
  const { previous, document: handover } = rotation;
  return [{ type: 'root.rotated', ...place, body: { previous, root, document: handover } }, published];
}

/** Entries about who the members are. */
export type MembershipEntry = EntryOf<'root.rotated' | 'roster.published'>;

export function evolveMembership(state: FederationState, entry: MembershipEntry): FederationState {
  const rotations = state.membership?.rotations ?? [];
  if (entry.type === 'root.rotated')
    return state.membership === undefined
      ? state
      : { ...state, membership: { ...state.membership, rotations: [...rotations, entry.seq] } };
  const { root, version, digest, document } = entry.body;
  const { roster } = readRoster(new TextEncoder().encode(document));
  const members = new Map(roster.members.map((member) => [member.agentId, member]));
  return { ...state, membership: { root, version, digest, members, rotations, seq: entry.seq } };
}

/** Whether an agent may be in a cohort: any may before the first roster, and afterwards those that it names. */
export function isMember(membership: MembershipState | undefined, agent: AgentState): boolean {
  if (membership === undefined) return true;
  const member = membership.members.get(agent.agentId);
  return member?.site === agent.site && member.identityKey === agent.identityKey;
}

/** Entries that prove an agent who the members are: how the root came to be the one it is, and the newest roster. */
export function membershipSeqs(membership: MembershipState | undefined): readonly number[] {
  return membership === undefined ? [] : [...membership.rotations, membership.seq];
}

/** Sites of members that have not joined here, or whose agent or key is another. Sorted. */
export function absentMembers(state: FederationState): readonly string[] {
  const members = [...(state.membership?.members.values() ?? [])];
  return members
    .filter(({ agentId }) => {
      const agent = state.agents.get(agentId);
      return agent === undefined || agent.revokedAt !== undefined || !isMember(state.membership, agent);
    })
    .map(({ site }) => site)
    .sort();
}
