import type { ErrorCode } from '@tributary/proto';

import type { FederationState } from './federation-state.js';

/** Codes of alarms about heads of this ledger that it contradicts: it was forked, or has lost entries. */
const CONTRADICTIONS: ReadonlySet<string> = new Set<ErrorCode>(['LEDGER_FORKED', 'PROOF_INVALID']);

const PREFIX = 'agent/';

/**
 * Agents and replicas that hold a head which this ledger contradicts: an alarm says so, they are not revoked, and nothing
 * has settled it. `isSettled` is asked with the agent and the sequence of its newest such alarm.
 */
export function contradictedIdentities(
  state: Pick<FederationState, 'alarms' | 'agents'>,
  isSettled: (agentId: string, seq: number) => boolean,
): readonly string[] {
  const newest = new Map<string, number>();
  for (const { code, subject, seq } of state.alarms)
    if (CONTRADICTIONS.has(code) && subject.startsWith(PREFIX)) newest.set(subject.slice(PREFIX.length), seq);
  return [...newest]
    .filter(([agentId, seq]) => isActive(state, agentId) && !isSettled(agentId, seq))
    .map(([agentId]) => agentId);
}

function isActive({ agents }: Pick<FederationState, 'agents'>, agentId: string): boolean {
  const agent = agents.get(agentId);
  return agent !== undefined && agent.revokedAt === undefined;
}
