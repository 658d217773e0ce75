import type { LedgerEntry } from '@tributary/proto';

import { activeIdentities } from '../domain/enrolment.js';
import type { AgentState, FederationState, ModelRolloutState } from '../domain/federation-state.js';
import { rolloutFor, versionOf, type SiteRollout } from '../domain/rollouts.js';
import { membershipSeqs } from '../domain/membership.js';
import type { AppLog } from './app-log.js';
import type { ConnectedAgents } from './connections.js';
import type { Federation } from './federation.js';
import type { Orders } from './orders.js';

export interface RolloutDispatchParts {
  readonly federation: Federation;
  readonly orders: Orders;
  readonly agents: ConnectedAgents;
  readonly log: AppLog;
}

/**
 * Sends orders to serve: to agents and replicas of selected sites when a rollout begins or is undone, and all that
 * concern a site to whoever of it connects or is approved. What is sent follows from the state alone, so a missed order comes with the next stream.
 */
export class RolloutDispatch {
  readonly #parts: RolloutDispatchParts;

  constructor(parts: RolloutDispatchParts) {
    this.#parts = parts;
  }

  /** Call after each durable append. */
  observe(entries: readonly LedgerEntry[]): void {
    const { state } = this.#parts.federation;
    for (const entry of entries) {
      if (entry.type === 'agent.approved') this.connected(entry.body.agentId);
      if (entry.type !== 'rollout.applied' && entry.type !== 'rollout.undone') continue;
      const model = state.rollouts.get(entry.body.model);
      if (model === undefined) continue;
      for (const site of state.sites.values()) {
        const wanted = rolloutFor(model, site);
        // An entry about a rollout that does not select the site leaves what it follows as it was.
        if (wanted?.seq !== entry.seq) continue;
        for (const agent of activeIdentities(state, site.site)) this.#send(state, model, agent, wanted);
      }
    }
  }

  /** Call when an agent has connected. */
  connected(agentId: string): void {
    const { state } = this.#parts.federation;
    const name = state.agents.get(agentId)?.site ?? '';
    const site = state.sites.get(name);
    const agent = activeIdentities(state, name).find((active) => active.agentId === agentId);
    if (site === undefined || agent === undefined) return;
    for (const model of state.rollouts.values()) {
      const wanted = rolloutFor(model, site);
      if (wanted !== undefined) this.#send(state, model, agent, wanted);
    }
  }

  #send(state: FederationState, model: ModelRolloutState, agent: AgentState, wanted: SiteRollout): void {
    const { agentId, site } = agent;
    if (agent.approvedAt === undefined || this.#parts.agents.get(agentId) === undefined) return;
    this.#deliver(agentId, model.model, seqsOf(state, wanted), wanted).catch((error: unknown) => {
      this.#parts.log.error({ error, model: model.model, site }, 'an order could not be built');
    });
  }

  async #deliver(
    agentId: string,
    model: string,
    seqs: readonly number[],
    { rollout: { rolloutId, version }, serves }: SiteRollout,
  ): Promise<void> {
    const { orders, agents, federation, log } = this.#parts;
    const members = serves ? membershipSeqs(federation.state.membership) : [];
    const order = await orders.build(agentId, 'serve', [...members, ...seqs], 0);
    if (agents.send(agentId, order, { rolloutId, model }))
      log.debug({ agentId, model, version, rolloutId, serves }, 'order sent');
  }
}

/** The entries that an agent needs to judge the last one: the registration of the version, and the signed rollout. */
function seqsOf(state: FederationState, { rollout, serves, seq }: SiteRollout): readonly number[] {
  const registered = versionOf(state, rollout.document.spec.model, rollout.version);
  const version = serves && registered !== undefined ? [registered.seq] : [];
  return [...version, rollout.seq, ...(seq === rollout.seq ? [] : [seq])];
}
