import { encodeHex, fewestSites, LIMITS, sha256, type FederatedJobSpec } from '@tributary/proto';

import { activeAgent } from './enrolment.js';
import type { AgentState, FederationState, SiteState } from './federation-state.js';
import { isMember } from './membership.js';

export interface Member {
  readonly site: string;
  readonly agentId: string;
}

/** Sites whose training agent is among these: replicas are in no cohort, whoever else of the site is connected. */
export function connectedSites(state: FederationState, agentIds: Iterable<string>): ReadonlySet<string> {
  const sites = new Set<string>();
  for (const agentId of agentIds) {
    const site = state.agents.get(agentId)?.site;
    if (site !== undefined && state.sites.get(site)?.agentId === agentId) sites.add(site);
  }
  return sites;
}

/** What selection needs of a job. */
export type SelectionSpec = Pick<
  FederatedJobSpec,
  'siteSelector' | 'minSites' | 'cohortSize' | 'overSelection'
> & { readonly privacy: Pick<FederatedJobSpec['privacy'], 'secureAggregation'> };

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
      return agent === undefined || !isMember(state.membership, agent)
        ? []
        : [{ site, agentId: agent.agentId }];
    })
    .sort(bySite);
}

/** Those of them that are ready for a job: `waiting` names sites that are not. */
export function readyMembers(
  state: FederationState,
  spec: SelectionSpec,
  connectedSites: ReadonlySet<string>,
  waiting: { has(site: string): boolean },
): readonly Member[] {
  return eligibleMembers(state, spec, connectedSites).filter(({ site }) => !waiting.has(site));
}

/** Sites of which a shortage says why each cannot take part. */
const TOLD_SITES = 4;

/** What decides whether a round has the sites that it needs. */
export type ShortageSpec = SelectionSpec & Pick<FederatedJobSpec, 'evaluation'>;

/** Whether a round can open with these members: as many as it needs, and the site that it holds out among them. */
export function isEnough(spec: ShortageSpec, members: readonly Member[]): boolean {
  const { holdOutSite } = spec.evaluation;
  if (holdOutSite !== undefined && !members.some(({ site }) => site === holdOutSite)) return false;
  return cohortCount(spec, members.length) >= fewestSites(spec);
}

/**
 * Why no round can open for want of sites, in words; undefined where enough are ready and connected. `presence` is by agent;
 * `waiting` says of sites that are not ready for the job why.
 */
export function shortageOf(
  state: FederationState,
  spec: ShortageSpec,
  presence: ReadonlyMap<string, unknown>,
  waiting: ReadonlyMap<string, string>,
): string | undefined {
  const ready = readyMembers(state, spec, connectedSites(state, presence.keys()), waiting);
  if (isEnough(spec, ready)) return undefined;
  const counted = new Set(ready.map(({ site }) => site));
  const absent = [...state.sites.values()].filter(({ site }) => !counted.has(site)).sort(bySite);
  const told = absent
    .slice(0, TOLD_SITES)
    .map((site) => `; ${site.site} ${waiting.get(site.site) ?? whyNot(state, spec, site)}`)
    .join('');
  const others = Math.max(0, absent.length - TOLD_SITES);
  const more = others === 0 ? '' : `; and ${String(others)} more`;
  return `Waits for sites: a round needs ${neededBy(spec)}, ready ${ready.length === 1 ? 'is' : 'are'} ${String(ready.length)}${told}${more}.`;
}

function neededBy(spec: ShortageSpec): string {
  const { holdOutSite } = spec.evaluation;
  const fewest = String(fewestSites(spec));
  return holdOutSite === undefined ? fewest : `${fewest} with ${holdOutSite}, which is held out`;
}

function whyNot(state: FederationState, { siteSelector }: SelectionSpec, site: SiteState): string {
  const lacking = Object.entries(siteSelector.matchLabels).find(([key, value]) => site.labels[key] !== value);
  if (lacking !== undefined) return `lacks the label ${lacking.join('=')}`;
  const agent = site.agentId === undefined ? undefined : state.agents.get(site.agentId);
  if (agent === undefined) return 'has not joined';
  if (agent.revokedAt !== undefined) return 'is revoked';
  if (!isMember(state.membership, agent)) return 'is not in the roster';
  return agent.approvedAt === undefined ? 'is not approved' : 'is not connected';
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

function bySite(left: Pick<Member, 'site'>, right: Pick<Member, 'site'>): number {
  return left.site < right.site ? -1 : 1;
}
