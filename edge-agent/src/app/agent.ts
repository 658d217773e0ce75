import { LIMITS, TributaryError } from '@tributary/proto';
import { z } from 'zod';

import type {
  CertificateReader,
  Clock,
  DeclaredDataset,
  Dialer,
  LineLog,
  OutboxFiles,
  Random,
  RowStatistics,
  SealedFiles,
  StateStore,
  TlsKeyMaker,
  Trainer,
} from '../ports.js';
import { AgentLink } from './agent-link.js';
import { CertificateKeeper } from './certificate-keeper.js';
import { Checkpoints } from './checkpoints.js';
import { DecisionLog } from './decision-log.js';
import type { EgressCounter } from './egress-counter.js';
import { identityKeyOf, requireEnrolment } from './enrolment-record.js';
import { FeatureFits } from './feature-fits.js';
import type { Log } from './log.js';
import { OrderReview, type PolicySource } from './order-review.js';
import { Outbox } from './outbox.js';
import { encodeRecord, readRecord } from './records.js';
import { claimsRollout } from '../domain/rollout-order.js';
import type { ModelRef, ModelStore } from '../serving-ports.js';
import { RolloutFollower, type ServingSwitch } from './rollout-follower.js';
import { RoundWork } from './round-work.js';
import { SessionRunner } from './session-runner.js';
import { statusOf, type AgentStatus } from './status.js';
import { Submission } from './submission.js';
import { Witness } from './witness.js';

export interface AgentParts {
  readonly store: StateStore;
  readonly files: OutboxFiles;
  readonly checkpoints: SealedFiles;
  readonly decisionLines: LineLog;
  readonly dialer: Dialer;
  readonly keys: TlsKeyMaker;
  readonly certificates: CertificateReader;
  readonly trainer: Trainer;
  readonly statistics: RowStatistics;
  readonly datasets: readonly DeclaredDataset[];
  readonly policy: PolicySource;
  readonly models: ModelStore;
  readonly serving: ServingSwitch;
  readonly egress: EgressCounter;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

const EPOCH = 'session-epoch';

/** How often the counters are written, where nothing else writes them. */
const FLUSH_MS = 5_000;

/** The running agent: one identity, one stream, one training at a time. */
export class Agent {
  readonly #parts: AgentParts;
  readonly #link: AgentLink;
  readonly #runner: SessionRunner;
  readonly #rollouts: RolloutFollower;
  readonly #keeper: CertificateKeeper;
  readonly #decisions: DecisionLog;
  readonly #ending = new AbortController();
  #fatal: TributaryError | undefined;

  private constructor(
    parts: AgentParts,
    link: AgentLink,
    runner: SessionRunner,
    rollouts: RolloutFollower,
    keeper: CertificateKeeper,
    decisions: DecisionLog,
  ) {
    this.#parts = parts;
    this.#link = link;
    this.#runner = runner;
    this.#rollouts = rollouts;
    this.#keeper = keeper;
    this.#decisions = decisions;
  }

  /** Reads the state, takes the next session epoch and recovers the outbox. Rejects with UNAUTHENTICATED before a join. */
  static async open(parts: AgentParts): Promise<Agent> {
    const { store, files, random, clock, log, egress, trainer } = parts;
    const record = await requireEnrolment(store);
    const { agentId, site, logId, logKey, modelKey } = record;
    const identity = identityKeyOf(record);
    const keeper = new CertificateKeeper(parts, record);
    const witness = await Witness.open(store, { logId, logKey });
    const outbox = new Outbox(store, files, random, agentId);
    const held = await outbox.recover();
    const decisions = await DecisionLog.open(parts.decisionLines);
    const sessionEpoch = await nextEpoch(store, random);
    const names = parts.datasets.map(({ name }) => name);

    const link: AgentLink = new AgentLink(
      {
        ...parts,
        keeper,
        witness,
        identity,
        sessionEpoch,
        offer: () => ({ backend: trainer.backend, datasets: names, serving: parts.serving.served() }),
      },
      {
        up: (approved) => runner.up(approved),
        down: () => runner.down(),
        order: (order) => (claimsRollout(order) ? rollouts.order(order) : runner.order(order)),
      },
    );
    const client = () => link.client;
    const submission = new Submission({
      outbox,
      files,
      random,
      egress,
      identity,
      site,
      logId,
      wire: () => link.wire,
    });
    const fits = new FeatureFits({ ...parts, client });
    const work = new RoundWork({
      ...parts,
      fits,
      checkpoints: new Checkpoints(parts.checkpoints, log),
      client,
      outbox,
      submission,
      noted: (note) => decisions.note({ time: new Date(clock.now()).toISOString(), ...note }),
      progress: throttled(clock, ({ jobId, round }, percent) =>
        link.send({ type: 'Progress', jobId, round, percent }),
      ),
    });
    const reader = { agentId, site, logId, logKey };
    const review = new OrderReview({ ...parts, reader, witness, outbox, decisions, datasets: names });
    const runner: SessionRunner = new SessionRunner({
      review,
      work,
      client,
      clock,
      random,
      log,
      send: (message) => link.send(message),
      askAgain: () => link.drop(),
      alarm: (error) => agent.#end(error),
    });
    const rollouts: RolloutFollower = new RolloutFollower({
      ...parts,
      modelKey,
      pinned: { logId, logKey },
      witness,
      decisions,
      client,
      send: (message) => link.send(message),
      askAgain: () => link.drop(),
      alarm: (error) => agent.#end(error),
    });
    runner.recover(held);
    const agent = new Agent(parts, link, runner, rollouts, keeper, decisions);
    log.info({ agentId, site, sessionEpoch: String(sessionEpoch), held: held.length }, 'agent ready');
    await review.announcePolicy();
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
    try {
      await this.#link.run(this.#ending.signal);
    } finally {
      signal.removeEventListener('abort', stop);
      this.#keeper.stop();
      cancelFlush();
      await withLimit(this.#parts.clock, Promise.all([this.#runner.stop(), this.#rollouts.stop()]));
      await this.#parts.egress.flush();
    }
    if (this.#fatal !== undefined) throw this.#fatal;
  }

  /** The site goes back to the version before; see RolloutFollower. */
  rollback(model: string): Promise<ModelRef> {
    return this.#rollouts.rollback(model);
  }

  status(): AgentStatus {
    return statusOf({
      record: this.#keeper.record,
      link: this.#link,
      session: this.#runner.state,
      expiresAtMs: this.#keeper.expiresAtMs,
      egress: this.#parts.egress.egress,
      decisions: this.#decisions,
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
      cancel = clock.at(clock.now() + FLUSH_MS, () => {
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

type Report = (round: { readonly jobId: string; readonly round: number }, percent: number) => void;

/** At most one report a second, and the last one. */
function throttled(clock: Clock, report: Report): Report {
  let lastMs = 0;
  return (round, percent) => {
    if (percent < 100 && clock.now() - lastMs < 1_000) return;
    lastMs = clock.now();
    report(round, Math.max(0, Math.min(100, Math.round(percent))));
  };
}

/** A trainer that does not stop must not keep the process from stopping. */
function withLimit(clock: Clock, work: Promise<unknown>): Promise<void> {
  return new Promise((resolve, reject) => {
    const cancel = clock.at(clock.now() + LIMITS.drainMs, resolve);
    work.then(() => resolve(), reject).finally(cancel);
  });
}
