import { encodeHex, LIMITS, sha256, type FederatedJobSpec } from '@tributary/proto';

import { activeAgent } from './enrolment.js';
import type { AgentState, FederationState } from './federation-state.js';

export interface Member {
  readonly site: string;
  readonly agentId: string;
}

/** What selection needs of a job. */
export type SelectionSpec = Pick<
  FederatedJobSpec,
  'siteSelector' | 'minSites' | 'cohortSize' | 'overSelection'
>;

/** The agent that may train for a site now, or undefined: joined, approved, not revoked. */
function readyAgent(state: FederationState, site: string): AgentState | undefined {
  const agent = activeAgent(state, site);
  return agent?.approvedAt === undefined ? undefined : agent;
}

/** Members that could be in a cohort now: ready, connected, with all labels of the selector. Sorted by site. */
export function eligibleMembers(
  state: FederationState,
  spec: SelectionSpec,
  connectedSites: ReadonlySet<string>,
): readonly Member[] {
  const wanted = Object.entries(spec.siteSelector.matchLabels);
  return [...state.sites.values()]
    .filter(
      ({ site, labels }) => connectedSites.has(site) && wanted.every(([key, value]) => labels[key] === value),
    )
    .flatMap(({ site }) => {
      const agent = readyAgent(state, site);
      return agent === undefined ? [] : [{ site, agentId: agent.agentId }];
    })
    .sort(bySite);
}

/** Sites to invite: cohortSize and the fraction beyond it, rounded up; every one where cohortSize is 0. */
export function cohortCount(spec: SelectionSpec, eligible: number): number {
  // The product of two decimals may lie a hair above a whole number: 10 * 1.1 is 11.000000000000002.
  const wanted = Math.ceil(spec.cohortSize * (1 + spec.overSelection) - 1e-9);
  return Math.min(eligible, LIMITS.updatesPerRound, spec.cohortSize === 0 ? eligible : wanted);
}

/**
 * The cohort that follows from public randomness: members in the order of SHA-256(seed, site), the first ones. Anybody
 * can recompute it from the ledger, and a member that comes or goes moves no other one's place. Sorted by site.
 */
export function selectCohort(members: readonly Member[], count: number, seed: Uint8Array): readonly Member[] {
  if (count >= members.length) return fitting([...members].sort(bySite));
  const ranked = members.map((member) => ({ member, rank: rankOf(seed, member.site) }));
  ranked.sort((left, right) => (left.rank < right.rank ? -1 : 1));
  return fitting(ranked.slice(0, count).map(({ member }) => member)).sort(bySite);
}

/** As many members as one ledger entry holds: thousands of sites with the longest names would not fit. */
function fitting(members: readonly Member[]): Member[] {
  let bytes = 0;
  return members.filter(({ site, agentId }) => {
    bytes += site.length + agentId.length + MEMBER_OVERHEAD;
    return bytes <= LIMITS.ledgerEntryBytes - ENTRY_OVERHEAD;
  });
}

/** Bytes of canonical JSON around one member, and of everything else in `round.opened`. */
const MEMBER_OVERHEAD = 24;
const ENTRY_OVERHEAD = 8 * 1024;

function rankOf(seed: Uint8Array, site: string): string {
  return encodeHex(sha256(seed, new TextEncoder().encode(site)));
}

function bySite(left: Member, right: Member): number {
  return left.site < right.site ? -1 : 1;
}
