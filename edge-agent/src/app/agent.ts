import {
  encodeBase64,
  identityStatement,
  isAtLeast,
  LIMITS,
  TributaryError,
  type IdentityStatement,
} from '@tributary/proto';
import { z } from 'zod';

import type {
  AgentMessage,
  CertificateReader,
  Clock,
  Dialer,
  LineLog,
  Random,
  StateStore,
  TlsKeyMaker,
} from '../ports.js';
import { AgentLink } from './agent-link.js';
import { CertificateKeeper } from './certificate-keeper.js';
import { DecisionLog } from './decision-log.js';
import type { EgressCounter } from './egress-counter.js';
import type { Duty, DutyPlan } from './duty.js';
import { identityKeyOf, requireEnrolment, requireKind } from './enrolment-record.js';
import type { Log } from './log.js';
import { LedgerAlarms } from './ledger-alarms.js';
import { ledgerView, type LedgerView } from './ledger-view.js';
import { Membership } from './membership.js';
import type { PolicySource } from './policy-source.js';
import { encodeRecord, readRecord } from './records.js';
import type { AlarmChoice } from '../domain/ledger-alarm.js';
import { claimsRollout } from '../domain/rollout-order.js';
import type { ModelRef, ModelStore } from '../serving-ports.js';
import { RolloutFollower, type ServingSwitch } from './rollout-follower.js';
import type { DownloadStore } from '../transfer-ports.js';
import type { SiteDesk } from './site-desk.js';
import { statusOf, type AgentStatus } from './status.js';
import { Witness } from './witness.js';
import type { WorkCounts } from './work-figures.js';

export interface AgentParts {
  readonly store: StateStore;
  readonly decisionLines: LineLog;
  readonly dialer: Dialer;
  readonly keys: TlsKeyMaker;
  readonly certificates: CertificateReader;
  readonly policy: PolicySource;
  readonly models: ModelStore;
  readonly downloads: DownloadStore;
  readonly serving: ServingSwitch;
  readonly egress: EgressCounter;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** What the agent knows of its coordinator's log. */
interface LedgerParts {
  readonly alarms: LedgerAlarms;
  readonly witness: Witness;
}

const EPOCH = 'session-epoch';

/** A running process of a site: one identity, one stream, what is rolled out to the site, and its duty. */
export class Agent {
  readonly #parts: AgentParts & LedgerParts;
  readonly #link: AgentLink;
  readonly #duty: Duty;
  readonly #rollouts: RolloutFollower;
  readonly #keeper: CertificateKeeper;
  readonly #decisions: DecisionLog;
  readonly #ending = new AbortController();
  #fatal: TributaryError | undefined;

  private constructor(
    parts: AgentParts & LedgerParts,
    link: AgentLink,
    duty: Duty,
    rollouts: RolloutFollower,
    keeper: CertificateKeeper,
    decisions: DecisionLog,
  ) {
    this.#parts = parts;
    this.#link = link;
    this.#duty = duty;
    this.#rollouts = rollouts;
    this.#keeper = keeper;
    this.#decisions = decisions;
  }

  /**
   * Reads the state and takes the next session epoch. Rejects with UNAUTHENTICATED before a join, and with CONFLICT where
   * the identity is not of the kind that the duty takes.
   */
  static async open(parts: AgentParts, plan: DutyPlan): Promise<Agent> {
    const { store, random, log } = parts;
    const record = await requireEnrolment(store);
    requireKind(record, plan.kind);
    const { agentId, site, logId, logKey, modelKey } = record;
    const identity = identityKeyOf(record);
    const keeper = new CertificateKeeper(parts, record);
    const decisions = await DecisionLog.open({
      ...{ lines: parts.decisionLines, store, identity, logId, agentId },
      clock: parts.clock,
    });
    const alarms = await LedgerAlarms.open({ ...parts, note: (note) => decisions.note(note) });
    const witness = await Witness.open(store, { logId, logKey }, alarms);
    const sessionEpoch = await nextEpoch(store, random);

    const link: AgentLink = new AgentLink(
      {
        ...parts,
        keeper,
        witness,
        identity,
        sessionEpoch,
        cosigns: plan.kind === 'Training',
        offer: () => ({ ...duty.offer, serving: parts.serving.served() }),
      },
      {
        up: (approved) => duty.up(approved),
        down: () => duty.down(),
        order: (order) => (claimsRollout(order) ? rollouts.order(order) : duty.order(order)),
      },
    );
    const self = { agentId, site, identityKey: encodeBase64(identity.publicKey) };
    const surroundings = {
      witness,
      membership: new Membership({ ...parts, self }),
      decisions,
      client: () => link.client,
      send: (message: AgentMessage) => {
        const said = forWire(message, link.wire);
        if (said !== undefined) link.send(said);
      },
      askAgain: () => link.drop(),
      // The link finds the alarm with its witness, and halts.
      alarm: () => link.drop(),
    };
    const duty: Duty = await plan.prepare({ ...surroundings, record, identity, wire: () => link.wire });
    const rollouts = new RolloutFollower({
      ...parts,
      ...surroundings,
      modelKey,
      pinned: { logId, logKey },
    });
    const agent = new Agent({ ...parts, alarms, witness }, link, duty, rollouts, keeper, decisions);
    log.info({ agentId, site, kind: plan.kind, sessionEpoch: String(sessionEpoch) }, 'agent ready');
    await duty.begin();
    return agent;
  }

  /** Works until `signal` is aborted. Rejects where the coordinator, or its log, ends the relation for good. */
  async run(signal: AbortSignal): Promise<void> {
    const stop = (): void => this.#ending.abort();
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    this.#keeper.watch(
      () => this.#link.reconnect(),
      (error) =>
        error.retryable
          ? this.#parts.log.warn({ code: error.code, detail: error.message }, 'renewal failed')
          : this.#end(error),
    );
    const cancelFlush = this.#flushRegularly();
    const cancelWatch = this.#parts.egress.watch();
    try {
      await this.#link.run(this.#ending.signal);
    } finally {
      signal.removeEventListener('abort', stop);
      this.#keeper.stop();
      cancelFlush();
      await withLimit(this.#parts.clock, Promise.all([this.#duty.stop(), this.#rollouts.stop()]));
      cancelWatch();
      await this.#decisions.close();
      await this.#parts.egress.close();
    }
    if (this.#fatal !== undefined) throw this.#fatal;
  }

  /** The site goes back to the version before; see RolloutFollower. */
  rollback(model: string): Promise<ModelRef> {
    return this.#rollouts.rollback(model);
  }

  /** For the people of the site. Throws CONFLICT where the process takes part in no round. */
  get desk(): SiteDesk {
    if (this.#duty.desk !== undefined) return this.#duty.desk;
    throw new TributaryError('CONFLICT', 'a replica takes part in no round; ask the training agent');
  }

  /** The newest verified head of the log, and every alarm about it. */
  ledger(): LedgerView {
    return ledgerView(this.#parts.witness.head, this.#parts.alarms.all);
  }

  /** Settles the open alarm about the log; the link begins anew. Rejects with CONFLICT where there is none. */
  async settle(choice: AlarmChoice): Promise<LedgerView> {
    await this.#parts.witness.settle(choice);
    return this.ledger();
  }

  /** Who this agent is, for whoever writes the roster. */
  identity(): IdentityStatement {
    const { record } = this.#keeper;
    return identityStatement(record, identityKeyOf(record));
  }

  /** What it has done for rounds; undefined for a replica. */
  get work(): WorkCounts | undefined {
    return this.#duty.work;
  }

  status(): AgentStatus {
    return statusOf({
      record: this.#keeper.record,
      link: this.#link,
      session: this.#duty.session,
      expiresAtMs: this.#keeper.expiresAtMs,
      egress: this.#parts.egress.egress,
      decisions: this.#decisions,
      witness: this.#parts.witness,
      serving: this.#parts.serving.served(),
    });
  }

  #end(error: TributaryError): void {
    this.#parts.log.error({ code: error.code, detail: error.message }, 'agent ends');
    this.#fatal ??= error;
    this.#ending.abort();
  }

  #flushRegularly(): () => void {
    const { clock, egress, log } = this.#parts;
    let cancel: () => void;
    const arm = (): void => {
      cancel = clock.at(clock.now() + LIMITS.countersFlushMs, () => {
        egress
          .flush()
          .catch((error: unknown) =>
            log.error({ code: TributaryError.from(error).code }, 'counters not written'),
          );
        arm();
      });
    };
    arm();
    return () => cancel();
  }
}

const epochSchema = z.strictObject({ epoch: z.string().regex(/^[0-9]{1,20}$/) });

/**
 * Above every one before, durable before use: of two processes with this state, the newer one is known. The high half
 * counts starts; the low half is random, so that two copies of one state that start alike still differ, and one of them
 * is fenced instead of both taking the stream from each other for ever.
 */
async function nextEpoch(store: StateStore, random: Random): Promise<bigint> {
  const last = await readRecord(store, EPOCH, epochSchema);
  const starts = (BigInt(last?.epoch ?? '0') >> 32n) + 1n;
  const epoch = (starts << 32n) | BigInt(Buffer.from(random.bytes(4)).readUInt32BE());
  await store.put({ [EPOCH]: encodeRecord({ epoch: String(epoch) }) });
  return epoch;
}

/** A trainer that does not stop must not keep the process from stopping. */
function withLimit(clock: Clock, work: Promise<unknown>): Promise<void> {
  return new Promise((resolve, reject) => {
    const cancel = clock.at(clock.now() + LIMITS.drainMs, resolve);
    work.then(() => resolve(), reject).finally(cancel);
  });
}

/** What coordinators before wire version 1.2 understand: to them a site that is not ready refuses. */
function forWire(message: AgentMessage, wire: string): AgentMessage | undefined {
  if (isAtLeast(wire, '1.2')) return message;
  if (message.type === 'JobDecision') return undefined;
  if (message.type !== 'Acknowledge' || message.wait === undefined) return message;
  const { wait: _, ...rest } = message;
  return { ...rest, code: 'POLICY_REFUSED' };
}
