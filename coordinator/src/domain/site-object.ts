import { LIMITS, type SiteCondition, type SiteObject, type SitePhase } from '@tributary/proto';

import type { AgentState, FederationState, SiteState } from './federation-state.js';

/** What the open stream of a site's agent tells. Times in milliseconds. */
export interface SitePresence {
  readonly connectedAtMs: number;
  readonly lastSeenMs: number;
  readonly software: string;
  /** Versions that answer there. */
  readonly serving?: readonly ServedVersion[];
  /** Rollouts that the agent refused, by id. */
  readonly refusals?: ReadonlyMap<string, RolloutRefusal>;
}

export interface ServedVersion {
  readonly model: string;
  readonly version: number;
}

export interface RolloutRefusal {
  readonly code: string;
  /** Redacted. */
  readonly detail: string;
}

/** What the conditions of a site are judged from. */
interface SiteFacts {
  readonly site: SiteState;
  /** Joined and not revoked, or revoked and not invited again since. */
  readonly agent: AgentState | undefined;
  readonly tokenExpiresAt: number;
  readonly presence: SitePresence | undefined;
  readonly now: number;
}

/** A site as `get` shows it. */
export function siteObject(
  state: FederationState,
  site: SiteState,
  presence: SitePresence | undefined,
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
    presence: agent?.revokedAt === undefined ? presence : undefined,
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
  const silentSince = presence.lastSeenMs + LIMITS.heartbeatTimeoutMs;
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
    certificateExpiryTime: new Date(agent.certifiedAt + LIMITS.certificateTtlMs).toISOString(),
    ...(presence === undefined
      ? {}
      : {
          lastSeenTime: new Date(presence.lastSeenMs).toISOString(),
          agentVersion: presence.software.slice(0, 64),
        }),
  };
}

function complete({ type, isTrue, reason, message, at }: Judged, observedGeneration: number): SiteCondition {
  const lastTransitionTime = new Date(at).toISOString();
  const status = isTrue ? 'True' : 'False';
  return { type, status, observedGeneration, lastTransitionTime, reason, message: message.slice(0, 512) };
}
