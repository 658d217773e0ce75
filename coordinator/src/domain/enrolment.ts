import {
  decodeBase64,
  LIMITS,
  requireName,
  TributaryError,
  writtenKind,
  type NewEntry,
} from '@tributary/proto';

import type {
  ApproveSite,
  CreateToken,
  EnrolAgent,
  EnrolmentCommand,
  RenewAgent,
  RevokeSite,
  StartAgent,
} from './command.js';
import type { AgentState, FederationState, SiteState, TokenState } from './federation-state.js';
import { shortDetail } from './rounds/round-decisions.js';

/** Decides who joins, as which site, and who no longer belongs. */
export function decideEnrolment(state: FederationState, command: EnrolmentCommand): readonly NewEntry[] {
  switch (command.kind) {
    case 'create-token':
      return createToken(state, command);
    case 'enrol-agent':
      return enrol(state, command);
    case 'renew-agent':
      return renew(state, command);
    case 'start-agent':
      return start(state, command);
    case 'approve-site':
      return approve(state, command);
    case 'revoke-site':
      return revoke(state, command);
  }
}

/** Everybody who belongs to a site now, joined and not revoked: the agent that trains, then its replicas. */
export function activeIdentities(state: FederationState, site: string): readonly AgentState[] {
  const trainer = activeAgent(state, site);
  const replicas = (state.sites.get(site)?.replicas ?? []).flatMap((id) => state.agents.get(id) ?? []);
  return trainer === undefined ? replicas : [trainer, ...replicas];
}

/** The agent that trains for the site now: joined and not revoked. */
export function activeAgent(state: FederationState, site: string): AgentState | undefined {
  const agentId = state.sites.get(site)?.agentId;
  const agent = agentId === undefined ? undefined : state.agents.get(agentId);
  return agent?.revokedAt === undefined ? agent : undefined;
}

/** The agent that joined with a token: what a repeated `Enroll` is answered from. */
export function enrolledWith(state: FederationState, tokenId: string): AgentState | undefined {
  const usedBy = state.tokens.get(tokenId)?.usedBy;
  return usedBy === undefined ? undefined : state.agents.get(usedBy);
}

/** What is recorded of a refused command besides the refusal itself: the first use of a token by a second key. */
export function alarmOf(
  state: FederationState,
  command: EnrolmentCommand,
  error: unknown,
): readonly NewEntry[] {
  if (command.kind !== 'enrol-agent' || !(error instanceof TributaryError) || error.code !== 'TOKEN_USED')
    return [];
  const token = state.tokens.get(command.tokenId);
  if (token === undefined || token.alarmed) return [];
  const detail = `the join token of site ${token.site} was presented with a second key`;
  const subject = `token/${command.tokenId}`;
  return [{ type: 'alarm.raised', actor: 'coordinator', subject, body: { code: 'TOKEN_USED', detail } }];
}

function createToken(state: FederationState, command: CreateToken): readonly NewEntry[] {
  const { actor, tokenId, key, identity = 'Training', approve: approved } = command;
  const site = requireName(command.site, 'site');
  const ttlMs = command.ttlMs === 0 ? LIMITS.joinTokenDefaultTtlMs : command.ttlMs;
  if (!(ttlMs > 0 && ttlMs <= LIMITS.joinTokenMaxTtlMs)) {
    throw invalid('ttl_seconds', `1 to ${String(LIMITS.joinTokenMaxTtlMs / 1_000)}`);
  }
  requireLabels(command.labels);
  decodeBase64(key, 'key', 32);
  if (state.tokens.has(tokenId)) throw new TributaryError('ALREADY_EXISTS', 'a token of that id exists');
  if (identity === 'Training') requirePlaceForTrainer(state, site);
  else requirePlaceForReplica(state, command);
  const expiresAt = new Date(command.now + ttlMs).toISOString();
  const body = {
    tokenId,
    site,
    labels: { ...command.labels },
    key,
    expiresAt,
    approve: approved,
    ...writtenKind(identity),
  };
  return [{ type: 'token.created', actor, subject: `site/${site}`, body }];
}

function requirePlaceForTrainer(state: FederationState, site: string): void {
  const agent = activeAgent(state, site);
  if (agent !== undefined) {
    throw new TributaryError('CONFLICT', `site ${site} has an agent already`, {
      hint: `to replace it, run \`tributary revoke ${site} --only ${agent.agentId}\` first`,
    });
  }
  if (!state.sites.has(site) && state.sites.size >= LIMITS.agents) {
    throw new TributaryError(
      'LIMIT_EXCEEDED',
      `one coordinator knows at most ${String(LIMITS.agents)} sites`,
    );
  }
}

/** A replica belongs to a site that is known, and has its labels: rollouts select both or neither. */
function requirePlaceForReplica(state: FederationState, { site: name, labels, now }: CreateToken): void {
  if (Object.keys(labels).length > 0) throw invalid('labels', 'none; replicas have the labels of their site');
  const { site, replicas } = requireSite(state, name);
  const invited = [...state.tokens.values()].filter(
    (token) =>
      token.site === site && token.kind === 'Serving' && token.usedBy === undefined && token.expiresAt > now,
  );
  if (replicas.length + invited.length >= LIMITS.replicasPerSite) {
    throw new TributaryError(
      'LIMIT_EXCEEDED',
      `a site has at most ${String(LIMITS.replicasPerSite)} replicas, invited ones among them`,
      { hint: `revoke those that are gone: tributary revoke ${site} --only AGENT-ID` },
    );
  }
}

function requireLabels(labels: CreateToken['labels']): void {
  const entries = Object.entries(labels);
  if (entries.length > LIMITS.labels) throw invalid('labels', `at most ${String(LIMITS.labels)}`);
  for (const [key, value] of entries) {
    if (!/^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$/.test(key))
      throw invalid('labels', 'keys of 1 to 63 letters, digits and . _ / -');
    if (!/^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$/.test(value)) {
      throw invalid(`labels.${key}`, 'values of 0 to 63 letters, digits and . _ -');
    }
  }
}

/** A token binds to the first key: the same key gets the first answer again, another is refused. */
function enrol(state: FederationState, command: EnrolAgent): readonly NewEntry[] {
  const token = state.tokens.get(command.tokenId);
  if (token === undefined) throw new TributaryError('TOKEN_INVALID', 'the join token is unknown');
  const known = enrolledWith(state, command.tokenId);
  return known === undefined ? join(state, token, command) : rejoin(known, command);
}

function rejoin(agent: AgentState, { identityKey, keyDigest, actor }: EnrolAgent): readonly NewEntry[] {
  if (agent.identityKey !== identityKey)
    throw new TributaryError('TOKEN_USED', 'the join token was used by another key');
  requireNotRevoked(agent);
  return certified(agent, keyDigest, actor);
}

/** The agent crashed before it kept its certificate: the new TLS key replaces the one that is lost. */
function certified(
  { agentId, site, keyDigests }: AgentState,
  keyDigest: EnrolAgent['keyDigest'],
  actor: string,
): readonly NewEntry[] {
  if (keyDigests[0] === keyDigest) return [];
  return [{ type: 'agent.renewed', actor, subject: `agent/${agentId}`, body: { agentId, site, keyDigest } }];
}

/** Throws TOKEN_USED, TOKEN_EXPIRED or CONFLICT where nobody can join with the token any more. */
export function requireJoinable(state: FederationState, token: TokenState, now: number): void {
  if (token.usedBy !== undefined) throw new TributaryError('TOKEN_USED', 'the join token was used');
  if (now >= token.expiresAt) throw new TributaryError('TOKEN_EXPIRED', 'the join token has expired');
  if (token.kind === 'Training' && activeAgent(state, token.site) !== undefined)
    throw new TributaryError('CONFLICT', `site ${token.site} has an agent already`);
}

function join(state: FederationState, token: TokenState, command: EnrolAgent): readonly NewEntry[] {
  const { actor, agentId, identityKey, keyDigest, now } = command;
  const { tokenId, site, kind } = token;
  requireJoinable(state, token, now);
  decodeBase64(identityKey, 'identity_key', 32);
  if (state.agents.size >= LIMITS.agents) {
    throw new TributaryError(
      'LIMIT_EXCEEDED',
      `one coordinator knows at most ${String(LIMITS.agents)} agents`,
    );
  }
  requireFreshIdentity(state, command);
  const subject = `agent/${agentId}`;
  const joined: NewEntry = {
    type: 'agent.enrolled',
    actor,
    subject,
    body: { agentId, site, tokenId, identityKey, keyDigest, ...writtenKind(kind) },
  };
  if (!token.approve) return [joined];
  return [joined, { type: 'agent.approved', actor: 'coordinator', subject, body: { agentId, site } }];
}

/** One identity belongs to one site: otherwise one host could count as two members of a cohort. */
function requireFreshIdentity(state: FederationState, { agentId, identityKey, keyDigest }: EnrolAgent): void {
  if (state.agents.has(agentId)) throw new TributaryError('ALREADY_EXISTS', 'an agent of that id exists');
  for (const agent of state.agents.values()) {
    if (agent.revokedAt !== undefined) continue;
    if (agent.identityKey === identityKey || agent.keyDigests.includes(keyDigest)) {
      throw new TributaryError(
        'ALREADY_EXISTS',
        'these keys belong to another identity; join from an empty data directory',
      );
    }
  }
}

function renew(state: FederationState, { agentId, keyDigest, actor }: RenewAgent): readonly NewEntry[] {
  const { site } = requireKnown(state, agentId);
  return [{ type: 'agent.renewed', actor, subject: `agent/${agentId}`, body: { agentId, site, keyDigest } }];
}

/**
 * Of two processes with the state of one agent (a restored backup, a second pod) only the newer may act. The epoch is in
 * the ledger, so that the older one stays out when the coordinator has restarted.
 */
function start(state: FederationState, command: StartAgent): readonly NewEntry[] {
  const { agentId, sessionEpoch, actor } = command;
  const agent = requireKnown(state, agentId);
  const newest = agent.sessionEpoch === undefined ? undefined : BigInt(agent.sessionEpoch);
  if (newest === sessionEpoch) return [];
  if (newest !== undefined && sessionEpoch < newest) {
    throw new TributaryError('AGENT_FENCED', 'a newer process of this agent has connected', {
      hint: 'stop the other process, or join again where this state was restored from a backup',
    });
  }
  const body = { agentId, site: agent.site, sessionEpoch: String(sessionEpoch) };
  return [{ type: 'agent.started', actor, subject: `agent/${agentId}`, body }];
}

function requireKnown(state: FederationState, agentId: string): AgentState {
  const agent = state.agents.get(agentId);
  if (agent === undefined) throw new TributaryError('UNAUTHENTICATED', 'the agent is not known here');
  requireNotRevoked(agent);
  return agent;
}

function approve(state: FederationState, { site: name, actor }: ApproveSite): readonly NewEntry[] {
  const site = requireSite(state, name);
  const active = activeIdentities(state, name);
  if (active.length === 0) {
    requireJoined(state, site);
    throw new TributaryError('CONFLICT', `the agent of site ${name} was revoked`, {
      hint: `invite the site again with \`tributary invite ${name}\``,
    });
  }
  return active
    .filter(({ approvedAt }) => approvedAt === undefined)
    .map(({ agentId }) => ({
      type: 'agent.approved',
      actor,
      subject: `agent/${agentId}`,
      body: { agentId, site: name },
    }));
}

function revoke(state: FederationState, command: RevokeSite): readonly NewEntry[] {
  const { actor } = command;
  const reason = shortDetail(command.reason);
  return identitiesToRevoke(state, command).map(({ agentId, site }) => ({
    type: 'agent.revoked',
    actor,
    subject: `agent/${agentId}`,
    body: { agentId, site, reason },
  }));
}

function identitiesToRevoke(
  state: FederationState,
  { site: name, agentId }: RevokeSite,
): readonly AgentState[] {
  const site = requireSite(state, name);
  if (agentId === undefined) {
    const active = activeIdentities(state, name);
    if (active.length === 0) requireJoined(state, site);
    return active;
  }
  const agent = state.agents.get(agentId);
  if (agent?.site !== name) {
    throw new TributaryError('NOT_FOUND', `site ${name} has no identity ${agentId}`, {
      hint: `tributary get site ${name} -o yaml lists them in status.identities`,
    });
  }
  return agent.revokedAt === undefined ? [agent] : [];
}

/** The site of that name; throws NOT_FOUND. */
function requireSite(state: FederationState, name: string): SiteState {
  const site = state.sites.get(name);
  if (site !== undefined) return site;
  throw new TributaryError('NOT_FOUND', `no Site ${JSON.stringify(name.slice(0, 64))} exists`, {
    hint: 'list the sites with `tributary get sites`',
  });
}

function requireJoined(state: FederationState, { site, agentId }: SiteState): void {
  if (agentId !== undefined && state.agents.has(agentId)) return;
  throw new TributaryError('CONFLICT', `site ${site} is invited but has not joined yet`);
}

function requireNotRevoked({ revokedAt }: AgentState): void {
  if (revokedAt !== undefined) throw new TributaryError('AGENT_REVOKED', 'the agent was revoked');
}

function invalid(field: string, allowed: string): TributaryError {
  return new TributaryError('INVALID_ARGUMENT', `${field}: ${allowed}`, { fields: { field } });
}
