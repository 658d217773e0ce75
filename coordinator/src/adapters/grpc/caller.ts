import { LIMITS, TributaryError, type IdentityKind } from '@tributary/proto';

import type { Federation } from '../../app/federation.js';
import { requirePermission } from '../../domain/authorisation.js';
import type { AgentState, Role } from '../../domain/federation-state.js';
import type { Clock } from '../../ports.js';
import type { CallContext } from './calls.js';
import { peerKey, type CertifiedPeer, type Peer } from './peer.js';
import type { Sessions } from './sessions.js';

/** An agent or a replica that has joined and is not revoked. */
export interface AgentCaller {
  readonly agentId: string;
  readonly site: string;
  readonly kind: IdentityKind;
  /** Ed25519, standard base64. */
  readonly identityKey: string;
  readonly approved: boolean;
}

/** Somebody at the admin service. */
export interface OperatorCaller {
  /** Actor of the ledger entries that follow from the call: "context/<name>" or "coordinator". */
  readonly actor: string;
  readonly role: Role;
}

/**
 * Tells who makes a call, by the state of the federation as it is now, and whether the authorisation table lets them.
 * Services ask before each call and for each message of a stream, so that revocation acts at once; the connections of a
 * revoked identity are ended with it.
 */
export class Callers {
  readonly #federation: Federation;
  readonly #clock: Clock;
  readonly #sessions: Sessions;

  constructor(federation: Federation, clock: Clock, sessions: Sessions) {
    this.#federation = federation;
    this.#clock = clock;
    this.#sessions = sessions;
  }

  /** The agent or replica that calls. Throws UNAUTHENTICATED, AGENT_REVOKED, AGENT_NOT_APPROVED, PERMISSION_DENIED. */
  agent({ peer, method }: CallContext): AgentCaller {
    if (peer.kind !== 'agent' && peer.kind !== 'replica')
      throw new TributaryError('UNAUTHENTICATED', 'this service takes the certificates of agents only');
    this.#requireOurs(peer);
    const agent = this.#federation.state.agents.get(peer.name);
    if (agent === undefined || (agent.kind === 'Serving') !== (peer.kind === 'replica'))
      throw new TributaryError('UNAUTHENTICATED', `no ${peer.kind} ${peer.name} has joined this federation`);
    this.#requireActive(agent, peer);
    if (!agent.keyDigests.includes(peer.keyDigest)) {
      throw new TributaryError(
        'UNAUTHENTICATED',
        'the certificate was replaced by newer ones; connect with the newest',
      );
    }
    const { agentId, site, kind, identityKey } = agent;
    const approved = agent.approvedAt !== undefined;
    requirePermission(approved ? peer.kind : 'pending-agent', method);
    return { agentId, site, kind, identityKey, approved };
  }

  /** The operator who calls. Throws UNAUTHENTICATED, PERMISSION_DENIED. */
  operator({ peer, method }: CallContext): OperatorCaller {
    const caller = this.#operator(peer);
    requirePermission(caller.role, method);
    return caller;
  }

  #operator(peer: Peer): OperatorCaller {
    if (peer.kind === 'local') return { actor: 'coordinator', role: 'admin' };
    if (peer.kind !== 'context')
      throw new TributaryError('UNAUTHENTICATED', 'this service takes the certificates of contexts only');
    this.#requireOurs(peer);
    const context = this.#federation.state.contexts.get(peer.name);
    if (context === undefined || context.keyDigest !== peer.keyDigest) {
      throw new TributaryError(
        'UNAUTHENTICATED',
        'the certificate is not that of a context of this federation',
      );
    }
    if (context.revoked) {
      this.#sessions.end(peerKey(peer));
      throw new TributaryError('UNAUTHENTICATED', `context ${context.name} was revoked`);
    }
    return { actor: `context/${context.name}`, role: context.role };
  }

  #requireOurs(peer: CertifiedPeer): void {
    if (peer.federationId !== this.#federation.state.federation?.federationId) {
      throw new TributaryError('UNAUTHENTICATED', 'the certificate belongs to another federation');
    }
    // TLS looks at the dates once, when a connection begins; a connection may outlive its certificate.
    if (peer.expiresAtMs + LIMITS.clockSkewMs < this.#clock.now()) {
      throw new TributaryError('UNAUTHENTICATED', 'the certificate has expired', {
        hint: 'renew it on the enrol port',
      });
    }
  }

  #requireActive(agent: AgentState, peer: CertifiedPeer): void {
    if (agent.revokedAt === undefined) return;
    this.#sessions.end(peerKey(peer));
    throw new TributaryError('AGENT_REVOKED', `agent ${agent.agentId} of site ${agent.site} was revoked`);
  }
}
