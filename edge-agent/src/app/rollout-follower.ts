import { LIMITS, TributaryError, type SitePolicySpec } from '@tributary/proto';
import { z } from 'zod';

import type { RolloutDecision } from '../domain/decision.js';
import { evaluateServing, type ServingVerdict } from '../domain/policy.js';
import { clip, redact } from '../domain/redaction.js';
import { verifyRollout, type VerifiedRollout } from '../domain/rollout-order.js';
import type { PinnedLog } from '../domain/proof.js';
import type { RawOrder } from '../coordinator-messages.js';
import type { AgentMessage, StateStore } from '../ports.js';
import type { ModelRef } from '../serving-ports.js';
import type { DecisionLog } from './decision-log.js';
import type { Log } from './log.js';
import { downloadModel, type ModelDownloadParts } from './model-download.js';
import type { Membership } from './membership.js';
import { proven, unproven, unreadable } from './order-review.js';
import { policyInForce, type PolicySource } from './policy-source.js';
import { encodeRecord, readRecord } from './records.js';
import { describeUnexpected } from './unexpected.js';
import type { Witness } from './witness.js';

/** What answers with the versions of the store. */
export interface ServingSwitch {
  /** The version answers from here on, durably; the one before goes on where that fails. */
  swap(ref: ModelRef): Promise<unknown>;
  /** The last good version answers again. Rejects with NOT_FOUND where there is none. */
  rollback(model: string): Promise<ModelRef>;
  /** Nothing of the model answers any more. */
  stop(model: string): Promise<void>;
  /** Versions that answer now. */
  served(): readonly ModelRef[];
}

export interface RolloutFollowerParts extends ModelDownloadParts {
  readonly serving: ServingSwitch;
  readonly pinned: PinnedLog;
  readonly witness: Pick<Witness, 'observe'>;
  readonly policy: PolicySource;
  readonly membership: Pick<Membership, 'prove'>;
  readonly decisions: Pick<DecisionLog, 'note'>;
  readonly store: StateStore;
  readonly send: (message: AgentMessage) => void;
  /** An order could not be judged now: the next stream brings it again. */
  readonly askAgain: () => void;
  /** The log contradicts what was seen before. */
  readonly alarm: (error: TributaryError) => void;
  readonly log: Log;
}

const followedSchema = z.strictObject({ seq: z.int().nonnegative(), rolloutId: z.string() });

/** What was said to a rollout under a policy: a repeated order gets the same answer without another line. */
interface Told {
  readonly seq: number;
  readonly policyDigest: string;
}

/** Follows rollouts: the newest entry of the ledger about a model decides which version answers at the site. */
export class RolloutFollower {
  readonly #parts: RolloutFollowerParts;
  readonly #turns = new Map<string, Promise<unknown>>();
  /** The newest order of each model, and what ends the work on it. */
  readonly #newest = new Map<string, { readonly seq: number; readonly ending: AbortController }>();
  readonly #told = new Map<string, Told>();
  readonly #running = new Set<Promise<unknown>>();
  #stopping = false;

  constructor(parts: RolloutFollowerParts) {
    this.#parts = parts;
  }

  order(order: RawOrder): void {
    if (this.#stopping || this.#running.size >= LIMITS.ordersVerifying) return;
    const running: Promise<unknown> = this.#take(order)
      .catch((error: unknown) => {
        const { code, detail } = redact(error);
        this.#parts.log.error({ code, detail, ...describeUnexpected(error) }, 'work failed');
      })
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /**
   * The last good version answers again: the site's own decision, with or without a coordinator. A later entry of the
   * ledger wins over it. Rejects with NOT_FOUND where no version answered before.
   */
  rollback(model: string): Promise<ModelRef> {
    return this.#inTurn(model, async () => {
      const { models, decisions, serving, clock, log } = this.#parts;
      const { current, lastGood } = await models.pointers(model);
      if (lastGood === undefined)
        throw new TributaryError('NOT_FOUND', `no version of ${model} served here before`, {
          hint: 'Versions from before an undone rollout do not count. tributary-agent status shows what answers.',
        });
      const time = new Date(clock.now()).toISOString();
      const previous = current === undefined ? {} : { previous: current };
      await decisions.note({ type: 'RolledBack', time, model, version: lastGood, ...previous });
      const ref = await serving.rollback(model);
      log.warn({ model, version: ref.version, ...previous }, 'model rolled back by the site');
      this.#report();
      return { name: ref.name, version: ref.version };
    });
  }

  /** Ends downloads; resolves when the store is let go. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const { ending } of this.#newest.values()) ending.abort();
    await Promise.all([
      ...this.#running,
      ...[...this.#turns.values()].map((turn) => turn.catch(() => undefined)),
    ]);
  }

  async #take(order: RawOrder): Promise<void> {
    const rollout = await this.#verify(order);
    if (rollout === undefined || this.#stopping) return;
    const { model, seq } = rollout;
    const before = this.#newest.get(model);
    // The same again while it is worked on is answered once, at the end; what is older was answered by the newer.
    if (before !== undefined && (before.seq > seq || (before.seq === seq && !before.ending.signal.aborted)))
      return;
    before?.ending.abort();
    const ending = new AbortController();
    this.#newest.set(model, { seq, ending });
    try {
      await this.#inTurn(model, () => this.#answer(order.orderId, rollout, ending.signal));
    } finally {
      // A repeat of an order that was carried out is looked at anew.
      if (this.#newest.get(model)?.ending === ending) this.#newest.delete(model);
    }
  }

  async #verify(order: RawOrder): Promise<VerifiedRollout | undefined> {
    const { witness, pinned, client, log } = this.#parts;
    const channel = client();
    if (channel === undefined) return undefined;
    try {
      await witness.observe(order.treeHead, (first, second) => channel.consistencyProof(first, second));
      return verifyRollout(pinned, order);
    } catch (cause) {
      const error = TributaryError.from(cause);
      const { code, detail } = redact(cause);
      log.warn({ orderId: order.orderId, code, detail, ...describeUnexpected(cause) }, 'order not verified');
      if (error.fields['fork'] === true) this.#parts.alarm(error);
      else if (error.retryable) this.#parts.askAgain();
      else this.#acknowledge(order.orderId, { code, detail });
      return undefined;
    }
  }

  async #answer(orderId: string, rollout: VerifiedRollout, signal: AbortSignal): Promise<void> {
    const { model, version, seq, rolloutId } = rollout;
    try {
      const refusal = await this.#follow(orderId, rollout, signal);
      this.#acknowledge(orderId, refusal);
      this.#report();
    } catch (error) {
      if (signal.aborted) return;
      const { code, detail } = redact(error);
      this.#parts.log.warn(
        { model, version, seq, rolloutId, code, detail, ...describeUnexpected(error) },
        'rollout not followed',
      );
      this.#acknowledge(orderId, { code, detail });
    }
  }

  /** Why the policy refuses it; undefined once it is followed. */
  async #follow(
    orderId: string,
    rollout: VerifiedRollout,
    signal: AbortSignal,
  ): Promise<Refusal | undefined> {
    const { store, serving, log } = this.#parts;
    const { model, version, seq, rolloutId, serves } = rollout;
    const followed = await readRecord(store, keyOf(model), followedSchema);
    if (followed !== undefined && followed.seq >= seq) return undefined;
    const verdict = await this.#judge(orderId, rollout);
    if (!verdict.allowed) return verdict;
    if (serves === undefined) await serving.stop(model);
    else await serving.swap(await downloadModel(this.#parts, { ...rollout, serves }, signal));
    // After the switch: a process that dies in between does both again, which changes nothing.
    await store.put({ [keyOf(model)]: encodeRecord({ seq, rolloutId }) });
    log.info({ model, version, rolloutId, serves: serves !== undefined }, 'rollout followed');
    await this.#forgetOthers(model);
    return undefined;
  }

  async #judge(orderId: string, rollout: VerifiedRollout): Promise<ServingVerdict> {
    const { decisions, clock, log } = this.#parts;
    const { model, version, seq, rolloutId, authorKey } = rollout;
    const { policy, digest } = await policyInForce(this.#parts, 'rollout');
    const verdict = await this.#verdict(policy, rollout);
    const before = this.#told.get(model);
    if (before?.seq === seq && before.policyDigest === digest) return verdict;
    const said = verdict.allowed
      ? { code: '' as const, rule: '', detail: '' }
      : { code: verdict.code, rule: verdict.rule, detail: clip(verdict.detail) };
    const decision: RolloutDecision = {
      type: 'Rollout',
      time: new Date(clock.now()).toISOString(),
      orderId,
      rolloutId,
      model,
      version,
      serves: rollout.serves !== undefined,
      authorKey,
      allowed: verdict.allowed,
      ...said,
      policyDigest: digest,
    };
    await decisions.note(decision);
    this.#told.set(model, { seq, policyDigest: digest });
    if (!verdict.allowed)
      log.warn({ model, version, code: verdict.code, rule: verdict.rule }, 'order refused by policy');
    return verdict;
  }

  /** To stop answering needs no permission; a policy that cannot be read allows nothing else. */
  async #verdict(
    policy: SitePolicySpec | TributaryError | undefined,
    { model, authorKey, serves, evidence }: VerifiedRollout,
  ): Promise<ServingVerdict> {
    if (serves === undefined) return { allowed: true };
    if (policy instanceof TributaryError) return unreadable(policy);
    const roster = await proven(policy, (rule) => this.#parts.membership.prove(rule, evidence));
    if (roster instanceof TributaryError) return unproven(roster);
    const { logId } = this.#parts.pinned;
    return evaluateServing(policy, { model, authorKey, logId, ...(roster && { roster }) });
  }

  /** Current and last good stay. */
  async #forgetOthers(model: string): Promise<void> {
    const { models } = this.#parts;
    const { current, lastGood } = await models.pointers(model);
    for (const ref of await models.list())
      if (ref.name === model && ref.version !== current && ref.version !== lastGood) await models.remove(ref);
  }

  #acknowledge(orderId: string, refusal: Refusal | undefined): void {
    const { code = '', detail = '' } = refusal ?? {};
    this.#parts.send({
      type: 'Acknowledge',
      orderId,
      accepted: refusal === undefined,
      code,
      detail: clip(detail),
    });
  }

  #report(): void {
    this.#parts.send({ type: 'Heartbeat', serving: this.#parts.serving.served() });
  }

  #inTurn<T>(model: string, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(model) ?? Promise.resolve();
    const turn = before.then(work, work);
    this.#turns.set(model, turn);
    // What fails is told to whoever waits for it.
    turn.catch(() => undefined);
    return turn;
  }
}

interface Refusal {
  readonly code: string;
  readonly detail: string;
}

const keyOf = (model: string): string => `rollout/${model}`;
