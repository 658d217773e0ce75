import { LIMITS, SECURE_STAGES, TributaryError } from '@tributary/proto';

import { waitAfter } from '../domain/backoff.js';
import { redact, type RedactedError } from '../domain/redaction.js';
import { roundKey, type RoundKey, type RoundOrder } from '../domain/round-key.js';
import { endsJob, type OpenedRound, type SettledRound } from '../domain/order.js';
import { step } from '../domain/session.js';
import {
  INITIAL_SESSION,
  type HeldUpdate,
  type SessionEffect,
  type SessionEvent,
  type SessionState,
} from '../domain/session-state.js';
import type { RawOrder } from '../coordinator-messages.js';
import type { AgentMessage, Clock, FleetClient, Random } from '../ports.js';
import type { DecisionLog } from './decision-log.js';
import type { Log } from './log.js';
import type { OrderReview, Review } from './order-review.js';
import { uniform } from './pause.js';
import type { AllowedRound, RoundWork } from './round-work.js';
import type { SecureTask } from './secure/round-sets.js';
import type { SecureRounds } from './secure/secure-rounds.js';
import { describeUnexpected } from './unexpected.js';
import { untilRoom } from './until-room.js';
import { WorkFigures } from './work-figures.js';

export interface SessionRunnerParts {
  readonly review: Pick<OrderReview, 'review'>;
  readonly work: Pick<
    RoundWork,
    'train' | 'stopTraining' | 'upload' | 'stopUpload' | 'discard' | 'settled' | 'drained'
  >;
  readonly secure: Pick<SecureRounds, 'follow' | 'settled'>;
  readonly decisions: Pick<DecisionLog, 'note'>;
  readonly client: () => FleetClient | undefined;
  readonly send: (message: AgentMessage) => void;
  /** An order could not be judged now: the next stream brings it again. */
  readonly askAgain: () => void;
  /** No round of the job follows. */
  readonly jobEnded: (settled: SettledRound) => Promise<void>;
  /** The log contradicts what was seen before. */
  readonly alarm: (error: TributaryError) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** Feeds the session machine and carries out its effects. */
export class SessionRunner {
  readonly figures = new WorkFigures();
  readonly #parts: SessionRunnerParts;
  #state: SessionState = INITIAL_SESSION;
  readonly #queue: SessionEvent[] = [];
  #stepping = false;
  readonly #orders = new Map<string, RawOrder>();
  readonly #rounds = new Map<RoundKey, AllowedRound & SecureTask>();
  readonly #retries = new Map<RoundKey, () => void>();
  /** The newest step of a secure round; it never rejects. */
  #secureStep: Promise<void> = Promise.resolve();
  readonly #running = new Set<Promise<unknown>>();
  readonly #stopping = new AbortController();

  constructor(parts: SessionRunnerParts) {
    this.#parts = parts;
  }

  get state(): SessionState {
    return this.#state;
  }

  recover(held: readonly HeldUpdate[]): void {
    this.#dispatch({ type: 'Recovered', held });
  }

  up(approved: boolean): void {
    this.#dispatch({ type: 'LinkUp', approved });
  }

  down(): void {
    this.#orders.clear();
    this.#dispatch({ type: 'LinkDown' });
  }

  order(order: RawOrder): void {
    if (this.#orders.size >= LIMITS.ordersVerifying) return;
    this.#orders.set(order.orderId, order);
    this.#dispatch({ type: 'OrderArrived', orderId: order.orderId });
    if (!this.#state.verifying.includes(order.orderId)) this.#orders.delete(order.orderId);
  }

  /** Ends training and uploads; resolves when both have let go of the disk. */
  async stop(): Promise<void> {
    this.#dispatch({ type: 'Stop' });
    this.#stopping.abort();
    for (const cancel of this.#retries.values()) cancel();
    this.#retries.clear();
    await this.#parts.work.drained();
    await Promise.all(this.#running);
  }

  /** Events are taken one after the other, also those that effects raise at once. */
  #dispatch(event: SessionEvent): void {
    this.#queue.push(event);
    if (this.#stepping) return;
    this.#stepping = true;
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
        const { state, effects } = step(this.#state, next);
        const now = this.#parts.clock.now();
        this.#state = state;
        this.figures.observe(next, now);
        for (const effect of effects) {
          this.figures.asked(effect, now);
          this.#perform(effect);
        }
      }
      this.#forgetRounds();
    } finally {
      this.#stepping = false;
    }
  }

  #perform(effect: SessionEffect): void {
    const { work, send } = this.#parts;
    switch (effect.type) {
      case 'Verify':
        return this.#start(this.#verify(effect.orderId));
      case 'Acknowledge': {
        const { orderId, accepted, code, detail, wait } = effect.answer;
        return send({ type: 'Acknowledge', orderId, accepted, code, detail, ...(wait && { wait }) });
      }
      case 'Train':
        return this.#train(effect.key);
      case 'Follow':
        return this.#follow(effect.key);
      case 'StopTraining':
        return work.stopTraining(effect.key);
      case 'Upload':
        return this.#upload(effect.key, effect.renew);
      case 'StopUpload':
        return work.stopUpload(effect.key);
      case 'RetryLater':
        return this.#retryLater(effect);
      case 'Discard':
        return this.#tidy(() => work.discard(effect.key));
      case 'ReportFailure': {
        const { code, detail } = effect;
        const { jobId, round, attempt } = effect.round;
        return send({ type: 'Failure', jobId, round, attempt, code, detail });
      }
    }
  }

  /** Work whose end nobody waits for. What fails here is the disk: the daemon says so and goes on. */
  #start(work: Promise<unknown>): void {
    const running: Promise<unknown> = work
      .catch((error: unknown) => {
        const { code, detail } = redact(error);
        this.#parts.log.error({ code, detail, ...describeUnexpected(error) }, 'work failed');
      })
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** What a settlement leaves to do waits for room on the disk; what the process does not live to see, the next one does. */
  #tidy(work: () => Promise<unknown>): void {
    this.#start(this.#withRoom(work));
  }

  #withRoom<T>(work: () => Promise<T>): Promise<T> {
    return untilRoom(this.#parts, this.#stopping.signal, work);
  }

  async #verify(orderId: string): Promise<void> {
    const order = this.#orders.get(orderId);
    const client = this.#parts.client();
    if (order === undefined || client === undefined) return;
    try {
      const review = await this.#parts.review.review(client, order);
      this.#dispatch(this.#reviewed(orderId, review));
    } catch (error) {
      this.#unverified(orderId, TributaryError.from(error));
    } finally {
      if (this.#orders.get(orderId) === order) this.#orders.delete(orderId);
    }
  }

  #reviewed(orderId: string, review: Review): SessionEvent {
    switch (review.outcome) {
      case 'Settled':
        this.#parts.log.info(
          { orderId, jobId: review.settled.round.jobId, by: review.settled.how },
          'round settled',
        );
        if (endsJob(review.settled)) this.#tidy(() => this.#parts.jobEnded(review.settled));
        this.#tidy(() => this.#parts.work.settled(review.settled.round));
        this.#nextStep(() => this.#withRoom(() => this.#parts.secure.settled(review.settled.round)));
        return { type: 'RoundSettled', orderId, round: review.settled.round };
      case 'Refused': {
        const { code, detail, rule, wait } = review.verdict;
        const said = wait === undefined ? 'order refused by policy' : 'order waits';
        this.#parts.log.warn({ orderId, jobId: review.round.jobId, code, rule }, said);
        return {
          type: 'OrderRefused',
          orderId,
          code,
          detail,
          round: refOf(review.round),
          ...(wait && { wait: { reason: wait.reason, waitMs: this.#until(wait.untilMs) } }),
        };
      }
      case 'Allowed': {
        const order = refOf(review.round);
        this.#rounds.set(roundKey(order), review);
        return { type: 'RoundAllowed', orderId, order };
      }
    }
  }

  #until(atMs: number | undefined): number {
    return atMs === undefined ? 0 : Math.max(0, atMs - this.#parts.clock.now());
  }

  #unverified(orderId: string, error: TributaryError): void {
    const { code, detail } = redact(error);
    this.#parts.log.warn({ orderId, code, detail, ...describeUnexpected(error) }, 'order not verified');
    if (error.fields['fork'] === true) this.#parts.alarm(error);
    else if (error.retryable) this.#parts.askAgain();
    else this.#dispatch({ type: 'OrderRefused', orderId, code, detail });
  }

  /** Takes the next step of a secure round, after the one before. */
  #follow(key: RoundKey): void {
    this.#nextStep(async () => {
      const [client, task] = [this.#parts.client(), this.#rounds.get(key)];
      if (client === undefined || task === undefined) return;
      try {
        if (await this.#parts.secure.follow(client, task)) this.#dispatch({ type: 'Maskable', key });
      } catch (error) {
        await this.#unfollowed(key, task.round, TributaryError.from(error));
      }
    });
  }

  /** Steps follow each other: one at work would write down anew what a settlement beside it forgets. */
  #nextStep(take: () => Promise<void>): void {
    const step = this.#secureStep.then(take);
    this.#secureStep = step.catch(() => undefined);
    this.#start(step);
  }

  async #unfollowed(key: RoundKey, round: OpenedRound, error: TributaryError): Promise<void> {
    // Ended with the process: the next one goes on.
    if (this.#state.stopping) return;
    const { code, detail } = redact(error);
    this.#parts.log.warn({ key, code, detail, ...describeUnexpected(error) }, 'a stage was not answered');
    if (error.fields['fork'] === true) return this.#parts.alarm(error);
    // A stage that closed meanwhile is told by the next order.
    if (code === 'UPDATE_LATE' || code === 'UPDATE_WRONG_ROUND') return;
    if (error.retryable && code !== 'SECAGG_TOO_FEW') return this.#parts.askAgain();
    await this.#noteRefusal(round, { code, detail });
    this.#dispatch({ type: 'SecureFailed', key, code, detail });
  }

  /** Before the coordinator hears of it: what it asked for that it may not have stands in the log of the site. */
  async #noteRefusal(
    { opened, closed }: Pick<OpenedRound, 'opened' | 'closed'>,
    why: RedactedError,
  ): Promise<void> {
    const { decisions, clock } = this.#parts;
    const { jobId, round, attempt } = opened;
    const stage = SECURE_STAGES[closed.length];
    if (stage === undefined) return;
    const time = new Date(clock.now()).toISOString();
    await decisions.note({ type: 'StageRefused', time, jobId, round, attempt, stage, ...why });
  }

  #train(key: RoundKey): void {
    const allowed = this.#rounds.get(key);
    if (allowed === undefined) return;
    this.#start(this.#parts.work.train(allowed).then((event) => this.#dispatch(event)));
  }

  #upload(key: RoundKey, renew: boolean): void {
    const upload = this.#parts.work.upload(key, renew, this.#rounds.get(key));
    this.#start(upload.then((event) => this.#dispatch(event)));
  }

  #retryLater({ key, tries, ...fields }: Extract<SessionEffect, { type: 'RetryLater' }>): void {
    const { clock, random } = this.#parts;
    this.#retries.get(key)?.();
    const cancel = clock.at(clock.now() + waitAfter({ fields }, tries, uniform(random)), () => {
      this.#retries.delete(key);
      this.#dispatch({ type: 'RetryDue', key });
    });
    this.#retries.set(key, cancel);
  }

  /** What was proven of a round is kept as long as the machine knows the round. */
  #forgetRounds(): void {
    const known = new Set(this.#state.rounds.map(({ order }) => roundKey(order)));
    for (const key of this.#rounds.keys()) if (!known.has(key)) this.#rounds.delete(key);
  }
}

function refOf({ opened, job }: OpenedRound): RoundOrder {
  const { jobId, round, attempt, baseDigest } = opened;
  return { jobId, round, attempt, baseDigest, secure: job.spec.privacy.secureAggregation };
}
