import type { SettledRound } from '../domain/order.js';
import type { HeldUpdate, SessionState } from '../domain/session-state.js';
import type { RawOrder } from '../coordinator-messages.js';
import type {
  Clock,
  DeclaredDataset,
  OutboxFiles,
  Random,
  RowStatistics,
  SealedFiles,
  SignedJobDecision,
  StateStore,
  Trainer,
} from '../ports.js';
import type { DownloadStore } from '../transfer-ports.js';
import type { SiteOffer } from './agent-link.js';
import { Checkpoints } from './checkpoints.js';
import type { Duty, DutyPlan, DutySurroundings } from './duty.js';
import type { EgressCounter } from './egress-counter.js';
import { FeatureFits } from './feature-fits.js';
import type { Log } from './log.js';
import { OrderReview } from './order-review.js';
import type { PolicySource } from './policy-source.js';
import { Outbox } from './outbox.js';
import { RoundWork } from './round-work.js';
import type { SecureTask } from './secure/round-sets.js';
import { SecureRecords } from './secure/secure-records.js';
import { SecureRounds } from './secure/secure-rounds.js';
import { SessionRunner } from './session-runner.js';
import { trainingSite, type TrainingSite } from './training-site.js';
import type { SiteDesk } from './site-desk.js';
import type { SiteJobs } from './site-jobs.js';
import { Submission } from './submission.js';
import type { WorkCounts } from './work-figures.js';

export interface TrainingParts {
  readonly store: StateStore;
  readonly files: OutboxFiles;
  readonly checkpoints: SealedFiles;
  readonly downloads: DownloadStore;
  readonly trainer: Trainer;
  readonly statistics: RowStatistics;
  readonly datasets: readonly DeclaredDataset[];
  /** Kind of the trainer. */
  readonly trainerType: 'Tfjs' | 'Socket';
  readonly policy: PolicySource;
  readonly egress: EgressCounter;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** Takes part in rounds: one training at a time, under the policy of the site. */
export const trainingDuty = (parts: TrainingParts): DutyPlan => ({
  kind: 'Training',
  prepare: (surroundings) => TrainingDuty.prepare(parts, surroundings),
});

class TrainingDuty implements Duty {
  readonly #parts: TrainingParts;
  readonly #runner: SessionRunner;
  readonly #review: OrderReview;
  readonly #held: readonly HeldUpdate[];
  readonly #jobs: SiteJobs;
  readonly #tell: (decision: SignedJobDecision) => void;
  readonly desk: SiteDesk;

  private constructor(
    parts: TrainingParts,
    runner: SessionRunner,
    review: OrderReview,
    held: readonly HeldUpdate[],
    site: TrainingSite,
  ) {
    this.#parts = parts;
    this.#runner = runner;
    this.#review = review;
    this.#held = held;
    this.#jobs = site.jobs;
    this.#tell = site.tell;
    this.desk = site.desk;
  }

  /** Recovers the outbox. */
  static async prepare(parts: TrainingParts, around: DutySurroundings): Promise<TrainingDuty> {
    const { store, files, random, clock, log } = parts;
    const { record, client, decisions, send } = around;
    const { agentId, site, logId, logKey } = record;
    const outbox = new Outbox(store, files, random, agentId);
    const held = await outbox.recover();
    const secure = new SecureRounds({
      ...parts,
      ...around,
      records: new SecureRecords(store),
      agentId,
      logId,
    });
    const masking = (task: SecureTask | undefined, delta: string) => secure.masking(task, delta);
    const submission = new Submission({ ...parts, ...around, outbox, site, logId, masking });
    const work = new RoundWork({
      ...parts,
      fits: new FeatureFits({ ...parts, client }),
      checkpoints: new Checkpoints(parts.checkpoints, log),
      client,
      outbox,
      submission,
      noted: (note) => decisions.note({ time: new Date(clock.now()).toISOString(), ...note }),
      progress: throttled(clock, ({ jobId, round }, percent) =>
        send({ type: 'Progress', jobId, round, percent }),
      ),
    });
    const reader = { agentId, site, logId, logKey };
    const datasets = parts.datasets.map(({ name }) => name);
    const own = await trainingSite(parts, around);
    const { jobs } = own;
    await secure.sweep((jobId) => jobs.hasEnded(jobId));
    const trainer = parts.trainerType;
    const review = new OrderReview({ ...parts, ...around, reader, outbox, datasets, jobs, trainer });
    const jobEnded = (settled: SettledRound) => own.ended(settled);
    const runner = new SessionRunner({ ...parts, ...around, review, work, secure, jobEnded });
    return new TrainingDuty(parts, runner, review, held, own);
  }

  get offer(): Pick<SiteOffer, 'backend' | 'datasets'> {
    const { trainer, datasets } = this.#parts;
    return { backend: trainer.backend, datasets: datasets.map(({ name }) => name) };
  }

  get work(): WorkCounts {
    return this.#runner.figures.counts;
  }

  get session(): SessionState {
    return this.#runner.state;
  }

  async begin(): Promise<void> {
    this.#runner.recover(this.#held);
    this.#parts.log.info({ held: this.#held.length }, 'outbox recovered');
    await this.#review.announcePolicy();
  }

  up(approved: boolean): void {
    // Said again each time: whether the last connection brought it nobody knows.
    if (approved) for (const decision of this.#jobs.untold()) this.#tell(decision);
    this.#runner.up(approved);
  }

  down(): void {
    this.#runner.down();
  }

  order(order: RawOrder): void {
    this.#runner.order(order);
  }

  stop(): Promise<void> {
    return this.#runner.stop();
  }
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
