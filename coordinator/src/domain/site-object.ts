import {
  LIMITS,
  type SiteCondition,
  type SiteIdentity,
  type SiteObject,
  type SitePhase,
  type SiteStatus,
} from '@tributary/proto';

import { activeIdentities } from './enrolment.js';
import type { AgentState, FederationState, SiteState } from './federation-state.js';
import { silentFrom, type AgentPresence, type Presence } from './presence.js';

/** What the conditions of a site are judged from. */
interface SiteFacts {
  readonly site: SiteState;
  /** Joined and not revoked, or revoked and not invited again since. */
  readonly agent: AgentState | undefined;
  readonly tokenExpiresAt: number;
  readonly presence: AgentPresence | undefined;
  readonly now: number;
}

/** A site as `get` shows it: its conditions are those of the agent that trains, its replicas are counted apart. */
export function siteObject(
  state: FederationState,
  site: SiteState,
  presence: Presence,
  now: number,
): SiteObject {
  const joined = site.agentId === undefined ? undefined : state.agents.get(site.agentId);
  // A new invitation after a revocation begins the site anew.
  const isReplaced = joined?.revokedAt !== undefined && joined.tokenId !== site.tokenId;
  const agent = isReplaced ? undefined : joined;
  const tokenExpiresAt = state.tokens.get(site.tokenId)?.expiresAt ?? 0;
  const facts = {
    site,
    agent,
    tokenExpiresAt,
    presence: agent?.revokedAt === undefined ? presence.get(agent?.agentId ?? '') : undefined,
    now,
  };
  const judged = [enrolled(facts), approved(facts), connected(facts)];
  return {
    apiVersion: 'tributary.dev/v1alpha1',
    kind: 'Site',
    metadata: {
      name: site.site,
      labels: site.labels,
      creationTimestamp: new Date(site.createdAt).toISOString(),
      generation: site.generation,
    },
    spec: {},
    status: {
      observedGeneration: site.generation,
      phase: phaseOf(facts),
      conditions: [ready(facts, judged), ...judged].map((condition) => complete(condition, site.generation)),
      ...agentStatus(facts),
      ...identityStatus(activeIdentities(state, site.site), presence, now),
    },
  };
}

interface Judged {
  readonly type: SiteCondition['type'];
  readonly isTrue: boolean;
  readonly reason: SiteCondition['reason'];
  readonly message: string;
  /** Milliseconds: when the status last changed. */
  readonly at: number;
}

function enrolled({ site, agent, tokenExpiresAt, now }: SiteFacts): Judged {
  const is = (isTrue: boolean, reason: Judged['reason'], message: string, at: number): Judged => ({
    type: 'Enrolled',
    isTrue,
    reason,
    message,
    at,
  });
  if (agent?.revokedAt !== undefined)
    return is(false, 'Revoked', agent.revocationReason ?? '', agent.revokedAt);
  if (agent !== undefined) return is(true, 'Joined', 'An agent has joined for the site.', agent.enrolledAt);
  if (now < tokenExpiresAt)
    return is(false, 'TokenOutstanding', 'The invitation is not used yet.', site.changedAt);
  return is(false, 'TokenExpired', 'The invitation has expired; invite the site again.', tokenExpiresAt);
}

function approved({ site, agent }: SiteFacts): Judged {
  const type = 'Approved' as const;
  if (agent?.revokedAt !== undefined) {
    return {
      type,
      isTrue: false,
      reason: 'Revoked',
      message: agent.revocationReason ?? '',
      at: agent.revokedAt,
    };
  }
  if (agent?.approvedAt === undefined) {
    const message = `Run \`tributary approve ${site.site}\` once it has joined.`;
    return {
      type,
      isTrue: false,
      reason: 'WaitingForApproval',
      message,
      at: agent?.enrolledAt ?? site.changedAt,
    };
  }
  const isByToken = agent.approvedBy === 'coordinator';
  const reason = isByToken ? 'ApprovedByToken' : 'ApprovedByOperator';
  const message = isByToken
    ? 'The invitation approved the site.'
    : `Approved by ${agent.approvedBy ?? 'an operator'}.`;
  return { type, isTrue: true, reason, message, at: agent.approvedAt };
}

function connected({ site, agent, presence, now }: SiteFacts): Judged {
  const type = 'Connected' as const;
  if (presence === undefined) {
    return {
      type,
      isTrue: false,
      reason: 'NoStream',
      message: 'No agent of the site is connected.',
      at: agent?.enrolledAt ?? site.changedAt,
    };
  }
  const silentSince = silentFrom(presence);
  if (now >= silentSince) {
    return {
      type,
      isTrue: false,
      reason: 'HeartbeatMissed',
      message: 'The agent sends no sign of life.',
      at: silentSince,
    };
  }
  return {
    type,
    isTrue: true,
    reason: 'StreamOpen',
    message: 'The agent is connected.',
    at: presence.connectedAtMs,
  };
}

/** True where all others are; otherwise it has the reason of the first that is not. */
function ready({ agent }: SiteFacts, judged: readonly Judged[]): Judged {
  const type = 'Ready' as const;
  const missing = judged.find(({ isTrue }) => !isTrue);
  if (missing === undefined) {
    const at = Math.max(...judged.map((condition) => condition.at));
    return { type, isTrue: true, reason: 'AllConditionsMet', message: 'The site can be in a cohort.', at };
  }
  return {
    type,
    isTrue: false,
    reason: rollUp(missing.type, agent),
    message: missing.message,
    at: missing.at,
  };
}

function rollUp(missing: Judged['type'], agent: AgentState | undefined): Judged['reason'] {
  if (agent?.revokedAt !== undefined) return 'Revoked';
  if (missing === 'Enrolled') return 'NotEnrolled';
  return missing === 'Approved' ? 'NotApproved' : 'NotConnected';
}

function phaseOf(facts: SiteFacts): SitePhase {
  const { agent } = facts;
  if (agent === undefined) return 'Invited';
  if (agent.revokedAt !== undefined) return 'Revoked';
  if (agent.approvedAt === undefined) return 'Pending';
  return connected(facts).isTrue ? 'Ready' : 'Offline';
}

function agentStatus({ agent, presence }: SiteFacts): Partial<SiteObject['status']> {
  if (agent === undefined) return {};
  return {
    agentId: agent.agentId,
    ...lifeSigns(agent, presence),
  };
}

type LifeSigns = Pick<SiteIdentity, 'certificateExpiryTime'> &
  Partial<Pick<SiteIdentity, 'lastSeenTime' | 'agentVersion'>>;

function lifeSigns({ certifiedAt }: AgentState, presence: AgentPresence | undefined): LifeSigns {
  const certificateExpiryTime = new Date(certifiedAt + LIMITS.certificateTtlMs).toISOString();
  if (presence === undefined) return { certificateExpiryTime };
  const lastSeenTime = new Date(presence.lastSeenMs).toISOString();
  return { certificateExpiryTime, lastSeenTime, agentVersion: presence.software.slice(0, 64) };
}

function identityStatus(
  active: readonly AgentState[],
  presence: Presence,
  now: number,
): Pick<SiteStatus, 'trainers' | 'replicas' | 'identities'> {
  const identities = active.map((agent): SiteIdentity => {
    const { agentId, kind, approvedAt } = agent;
    const stream = presence.get(agentId);
    const isConnected = stream !== undefined && now < silentFrom(stream);
    const phase = approvedAt === undefined ? 'Pending' : isConnected ? 'Ready' : 'Offline';
    return { agentId, kind, phase, ...lifeSigns(agent, stream) };
  });
  const countsOf = (kind: SiteIdentity['kind']): SiteStatus['replicas'] => {
    const alike = identities.filter((identity) => identity.kind === kind);
    return { joined: alike.length, ready: alike.filter(({ phase }) => phase === 'Ready').length };
  };
  return { trainers: countsOf('Training'), replicas: countsOf('Serving'), identities };
}

function complete({ type, isTrue, reason, message, at }: Judged, observedGeneration: number): SiteCondition {
  const lastTransitionTime = new Date(at).toISOString();
  const status = isTrue ? 'True' : 'False';
  return { type, status, observedGeneration, lastTransitionTime, reason, message: message.slice(0, 512) };
}
