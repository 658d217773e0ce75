import {
  digestSchema,
  federationRoot,
  TributaryError,
  type FederationRule,
  type Roster,
} from '@tributary/proto';
import { z } from 'zod';

import { proveRoster, type RosterEvidence, type RosterFloor } from '../domain/membership.js';
import type { Clock, StateStore } from '../ports.js';
import type { Log } from './log.js';
import { encodeRecord, readRecord } from './records.js';

const MEMBERSHIP = 'membership';

const floorSchema: z.ZodType<RosterFloor> = z.strictObject({
  pinned: digestSchema,
  root: digestSchema,
  version: z.int().min(1),
  digest: digestSchema,
});

/** Who this agent is to the others: what the roster must say of it. */
export interface OwnIdentity {
  readonly agentId: string;
  readonly site: string;
  /** Standard base64 of the Ed25519 public key. */
  readonly identityKey: string;
}

export interface MembershipParts {
  readonly store: StateStore;
  readonly self: OwnIdentity;
  readonly clock: Pick<Clock, 'now'>;
  readonly log: Log;
}

/** Proves rosters, and remembers the newest one so that no older one is believed again. */
export class Membership {
  readonly #parts: MembershipParts;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(parts: MembershipParts) {
    this.#parts = parts;
  }

  /** {@link prove} for a round; rejects also with NOT_IN_ROSTER where the roster does not name this agent with its key. */
  async proveOwn(rule: FederationRule, evidence: RosterEvidence): Promise<Roster> {
    const roster = await this.prove(rule, evidence);
    this.#requireSelf(roster);
    return roster;
  }

  /**
   * The roster that an order proves, durably the newest one seen when it resolves. Rejects with ROSTER_MISSING,
   * ROSTER_INVALID, ROSTER_EXPIRED, ROSTER_ROLLBACK.
   */
  prove(rule: FederationRule, evidence: RosterEvidence): Promise<Roster> {
    const turn = this.#turn.then(() => this.#prove(rule, evidence));
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #prove({ root }: FederationRule, evidence: RosterEvidence): Promise<Roster> {
    const { store, clock, log } = this.#parts;
    const known = await readRecord(store, MEMBERSHIP, floorSchema);
    try {
      const { roster, floor } = proveRoster(federationRoot(root), evidence, known, clock.now());
      if (!isSame(known, floor)) await store.put({ [MEMBERSHIP]: encodeRecord({ ...floor }) });
      return roster;
    } catch (cause) {
      const error = TributaryError.from(cause);
      if (error.code === 'ROSTER_ROLLBACK')
        log.error(
          { code: error.code, detail: error.message },
          'alarm: the coordinator shows an older membership',
        );
      throw error;
    }
  }

  #requireSelf(roster: Roster): void {
    const { agentId, site, identityKey } = this.#parts.self;
    const member = roster.member(agentId);
    if (member?.site === site && member.identityKey === identityKey) return;
    throw new TributaryError(
      'NOT_IN_ROSTER',
      `roster version ${String(roster.version)} does not name this agent with its key`,
    );
  }
}

function isSame(known: RosterFloor | undefined, floor: RosterFloor): boolean {
  return (
    known?.pinned === floor.pinned &&
    known.root === floor.root &&
    known.version === floor.version &&
    known.digest === floor.digest
  );
}
