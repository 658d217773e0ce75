import { kindOf, type Digest, type EntryOf } from '@tributary/proto';

import type { AgentState, FederationState, SiteState, TokenState } from './federation-state.js';
import { judge } from './job-evolution.js';
import { isUnfinished } from './rounds/round-progress.js';
import { revokeMember } from './rounds/round-evolution.js';
import { askAgain } from './site-readiness.js';

/** Entries about tokens, agents and sites. */
export type EnrolmentEntry = EntryOf<
  'token.created' | 'agent.enrolled' | 'agent.renewed' | 'agent.started' | 'agent.approved' | 'agent.revoked'
>;

export function evolveEnrolment(state: FederationState, entry: EnrolmentEntry): FederationState {
  switch (entry.type) {
    case 'token.created':
      return createToken(state, entry);
    case 'agent.enrolled':
      return enrol(state, entry);
    case 'agent.renewed': {
      const { agentId, keyDigest } = entry.body;
      const at = Date.parse(entry.time);
      return withAgent(state, agentId, (agent) => ({
        ...agent,
        keyDigests: newestKeys(keyDigest, agent.keyDigests),
        certifiedAt: at,
      }));
    }
    case 'agent.started': {
      const { agentId, site, sessionEpoch } = entry.body;
      const jobs = askAgain(state.jobs, site);
      return withAgent({ ...state, jobs }, agentId, (agent) => ({ ...agent, sessionEpoch }));
    }
    case 'agent.approved': {
      const at = Date.parse(entry.time);
      const approval = { approvedAt: at, approvedBy: entry.actor };
      const next = withAgent(state, entry.body.agentId, (agent) => ({ ...agent, ...approval }));
      return withSite(next, entry.body.site, entry, {});
    }
    case 'agent.revoked':
      return revoke(state, entry);
  }
}

/**
 * An invitation of an agent that trains replaces the one before it unless that one was used: a lost token no longer
 * works. Those of replicas stand side by side until they are used or have expired.
 */
function createToken(state: FederationState, entry: EntryOf<'token.created'>): FederationState {
  const { tokenId, site, labels, key, expiresAt, approve } = entry.body;
  const kind = kindOf(entry.body.kind);
  const tokens = new Map(state.tokens);
  for (const replaced of replacedBy(state, entry)) tokens.delete(replaced);
  tokens.set(tokenId, {
    tokenId,
    site,
    kind,
    labels,
    key,
    expiresAt: Date.parse(expiresAt),
    approve,
    alarmed: false,
  });
  return withSite({ ...state, tokens }, site, entry, kind === 'Training' ? { tokenId, labels } : {});
}

/** Unused tokens that an invitation ends. */
function replacedBy(state: FederationState, { body, time }: EntryOf<'token.created'>): readonly string[] {
  const unused = [...state.tokens.values()].filter(
    ({ site, usedBy }) => site === body.site && usedBy === undefined,
  );
  const isReplaced =
    kindOf(body.kind) === 'Training'
      ? ({ kind }: TokenState) => kind === 'Training'
      : ({ kind, expiresAt }: TokenState) => kind === 'Serving' && expiresAt <= Date.parse(time);
  return unused.filter(isReplaced).map(({ tokenId }) => tokenId);
}

function enrol(state: FederationState, entry: EntryOf<'agent.enrolled'>): FederationState {
  const { agentId, site, tokenId, identityKey, keyDigest } = entry.body;
  const kind = kindOf(entry.body.kind);
  const at = Date.parse(entry.time);
  const { seq } = entry;
  const agent = {
    agentId,
    site,
    kind,
    tokenId,
    identityKey,
    keyDigests: [keyDigest],
    enrolledAt: at,
    certifiedAt: at,
    seq,
  };
  const tokens = new Map(state.tokens);
  const token = tokens.get(tokenId);
  if (token !== undefined) tokens.set(tokenId, { ...token, usedBy: agentId });
  const next = { ...state, tokens, agents: new Map(state.agents).set(agentId, agent) };
  const replicas = state.sites.get(site)?.replicas ?? [];
  return withSite(
    next,
    site,
    entry,
    kind === 'Training' ? { agentId } : { replicas: [...replicas, agentId] },
  );
}

function revoke(state: FederationState, entry: EntryOf<'agent.revoked'>): FederationState {
  const { agentId, site, reason } = entry.body;
  const at = Date.parse(entry.time);
  const next = withAgent(state, agentId, (agent) => ({ ...agent, revokedAt: at, revocationReason: reason }));
  const known = state.sites.get(site)?.replicas ?? [];
  const replicas = known.filter((replica) => replica !== agentId);
  return withSite({ ...next, jobs: revokeInRounds(next.jobs, agentId, at) }, site, entry, { replicas });
}

/** A revoked agent reports in no open round any more. */
function revokeInRounds(jobs: FederationState['jobs'], agentId: string, at: number): FederationState['jobs'] {
  const changed = new Map(jobs);
  for (const [jobId, job] of jobs) {
    if (!isUnfinished(job.round)) continue;
    const round = revokeMember(job.round, agentId);
    if (round !== job.round) changed.set(jobId, judge({ ...job, round }, job, at));
  }
  return changed;
}

/** The newest key first, then the one that an agent may still use while it renews. */
function newestKeys(keyDigest: Digest, known: readonly Digest[]): readonly Digest[] {
  return [keyDigest, ...known.filter((digest) => digest !== keyDigest)].slice(0, 2);
}

function withAgent(
  state: FederationState,
  agentId: string,
  change: (agent: AgentState) => AgentState,
): FederationState {
  const agent = state.agents.get(agentId);
  if (agent === undefined) return state;
  return { ...state, agents: new Map(state.agents).set(agentId, change(agent)) };
}

const NEW_SITE = { labels: {}, tokenId: '', replicas: [], generation: 0 };

type SiteChange = Partial<Pick<SiteState, 'labels' | 'tokenId' | 'agentId' | 'replicas'>>;

function withSite(
  state: FederationState,
  site: string,
  entry: EnrolmentEntry,
  change: SiteChange,
): FederationState {
  const at = Date.parse(entry.time);
  const known = state.sites.get(site) ?? { ...NEW_SITE, site, createdAt: at };
  const next = { ...known, ...change, generation: known.generation + 1, changedAt: at, seq: entry.seq };
  return { ...state, sites: new Map(state.sites).set(site, next) };
}
