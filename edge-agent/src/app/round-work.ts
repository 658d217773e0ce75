import { LIMITS, TributaryError, type FederatedJobSpec, type RoundKind } from '@tributary/proto';

import type { TrainingNote } from '../domain/decision.js';
import type { OpenedRound } from '../domain/order.js';
import type { TrainingTerms } from '../domain/policy.js';
import { redactTraining, trainerDied } from '../domain/training-error.js';
import { roundKey, type RoundKey, type RoundRef } from '../domain/round-key.js';
import type { SessionEvent } from '../domain/session-state.js';
import { redact } from '../domain/redaction.js';
import { tellableResult } from '../domain/tellable-result.js';
import type {
  DatasetHandle,
  DatasetTerms,
  DeclaredDataset,
  EvaluationTask,
  Trainer,
  TrainingEvents,
  TrainingResult,
} from '../ports.js';
import { downloadBase, type DownloadParts } from './base-model.js';
import type { Checkpoints } from './checkpoints.js';
import type { FeatureFits } from './feature-fits.js';
import type { Log } from './log.js';
import type { Outbox } from './outbox.js';
import type { SecureTask } from './secure/round-sets.js';
import type { Submission } from './submission.js';
import { describeUnexpected } from './unexpected.js';
import { untilRoom } from './until-room.js';

export interface RoundWorkParts extends DownloadParts {
  readonly trainer: Trainer;
  readonly fits: FeatureFits;
  readonly datasets: readonly DeclaredDataset[];
  readonly outbox: Outbox;
  readonly checkpoints: Checkpoints;
  readonly submission: Submission;
  readonly log: Log;
  /** Writes a line of the site's decision log. */
  readonly noted: (note: Omit<TrainingNote, 'time'>) => Promise<void>;
  readonly progress: (round: { readonly jobId: string; readonly round: number }, percent: number) => void;
}

/** A round that the site has allowed. */
export interface AllowedRound {
  readonly round: OpenedRound;
  readonly terms: DatasetTerms;
  readonly training: TrainingTerms;
}

/** Does what rounds need: one training at a time, uploads beside it. Reports by events, never by errors. */
export class RoundWork {
  readonly #parts: RoundWorkParts;
  readonly #trainings = new Map<RoundKey, AbortController>();
  readonly #uploads = new Map<
    RoundKey,
    { readonly controller: AbortController; readonly done: Promise<unknown> }
  >();
  #training: Promise<unknown> = Promise.resolve();

  constructor(parts: RoundWorkParts) {
    this.#parts = parts;
  }

  /** Trains after the training before has ended. Resolves with Trained or TrainingFailed. */
  train(allowed: AllowedRound): Promise<SessionEvent> {
    const key = roundKey(allowed.round.opened);
    const controller = new AbortController();
    this.#trainings.set(key, controller);
    const work = this.#training.then(() => this.#train(key, allowed, controller.signal));
    this.#training = work;
    return work.finally(() => {
      if (this.#trainings.get(key) === controller) this.#trainings.delete(key);
    });
  }

  stopTraining(key: RoundKey): void {
    this.#trainings.get(key)?.abort();
  }

  /** Resolves with Uploaded or UploadFailed. `task`: where the round was verified by this process. */
  upload(key: RoundKey, renew: boolean, task: SecureTask | undefined): Promise<SessionEvent> {
    const controller = new AbortController();
    const done = this.#upload(key, renew, task, controller.signal);
    this.#uploads.set(key, { controller, done });
    return done;
  }

  stopUpload(key: RoundKey): void {
    this.#uploads.get(key)?.controller.abort();
  }

  /** The round is over: its training is not taken up again. */
  async settled(round: RoundRef): Promise<void> {
    await this.#training;
    await this.#parts.checkpoints.remove(round);
  }

  /** Removes a settled update, once nothing reads it any more. */
  async discard(key: RoundKey): Promise<void> {
    await this.#uploads.get(key)?.done;
    this.#uploads.delete(key);
    this.#parts.submission.expectNothing();
    this.#parts.submission.forget(key);
    await this.#parts.outbox.discard(key);
  }

  /** Resolves when everything that runs has come to its end. */
  async drained(): Promise<void> {
    await Promise.all([this.#training, ...[...this.#uploads.values()].map(({ done }) => done)]);
  }

  async #train(
    key: RoundKey,
    { round, terms, training }: AllowedRound,
    signal: AbortSignal,
  ): Promise<SessionEvent> {
    const { outbox, submission, log, checkpoints, fits } = this.#parts;
    const { spec } = round.job;
    const fields = { jobId: round.jobId, round: round.opened.round, attempt: round.opened.attempt };
    try {
      const dataset = { ...this.#dataset(spec), ...terms };
      submission.expectNothing();
      log.info(fields, WORK[round.opened.kind ?? 'Training']);
      const found = await this.#withRoom(signal, () =>
        round.opened.kind === 'Statistics'
          ? fits.answer(round, dataset, signal)
          : this.#result(round, dataset, training, signal),
      );
      const result = tellableResult(found, dataset.minCount, training.metricDigits);
      await this.#withRoom(signal, () => this.#note(round, result));
      const uploadId = await this.#withRoom(signal, () => outbox.hold(round, result));
      // Without a link nobody knows when.
      if (this.#parts.client() !== undefined) submission.expect(uploadId, result.delta);
      await checkpoints.remove(fields);
      const kind = round.opened.kind === undefined ? {} : { kind: round.opened.kind };
      log.info({ ...fields, ...kind, uploadId }, 'update held in the outbox');
      return { type: 'Trained', key, uploadId };
    } catch (error) {
      const { code, detail } = redactTraining(error, spec);
      // A training that was stopped goes on when the order comes again; one that failed would fail again.
      if (!signal.aborted && code !== 'SHUTTING_DOWN') await checkpoints.remove(fields);
      log.warn({ ...fields, code, detail, ...describeUnexpected(error) }, 'training failed');
      return { type: 'TrainingFailed', key, code, detail };
    }
  }

  /** A full disk costs time, and neither the training nor its round. */
  #withRoom<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    return untilRoom(this.#parts, signal, work);
  }

  async #result(
    round: OpenedRound,
    dataset: DatasetHandle,
    { cpuPercent, backends }: TrainingTerms,
    signal: AbortSignal,
  ): Promise<TrainingResult> {
    const { trainer, log, checkpoints, fits } = this.#parts;
    const fields = { jobId: round.jobId, round: round.opened.round, attempt: round.opened.attempt };
    const fit = await fits.fitOf(round, dataset, signal);
    const task = {
      jobId: round.jobId,
      round: round.opened.round,
      spec: round.job.spec,
      layout: round.model,
      dataset,
      fit,
      signal,
      compute: { cpuPercent, ...(backends && { backends }) },
    };
    // The memory of the weights goes to the trainer: one that takes the place of another gets its own.
    const withBase = async () => ({ ...task, weights: await downloadBase(this.#parts, round, signal) });
    const onlyMeasures = round.heldOut || round.opened.kind === 'Evaluation';
    const kept = onlyMeasures
      ? undefined
      : await checkpoints.begin({ ...fields, baseDigest: round.opened.baseDigest });
    const events: TrainingEvents = {
      progress: (percent) => this.#parts.progress(fields, percent),
      resumed: (epochs) => log.info({ ...fields, epochs }, 'training resumed'),
    };
    for (let deaths = 1; ; deaths += 1) {
      try {
        return kept === undefined
          ? await evaluateOnly(trainer, await withBase(), round.layout.length)
          : await trainer.train({ ...(await withBase()), checkpoints: kept }, events);
      } catch (error) {
        if (!trainerDied(error) || signal.aborted || deaths > LIMITS.trainerRestarts) throw error;
        log.warn({ ...fields, deaths }, 'the trainer died; another one goes on');
      }
    }
  }

  /** The site's own record of the rows behind an update, before the update exists. */
  async #note({ job, jobId, opened }: OpenedRound, { dataVersion }: TrainingResult): Promise<void> {
    if (dataVersion === undefined) return;
    const { round, attempt } = opened;
    const names = { job: job.metadata.name, dataset: job.spec.dataset.name };
    await this.#parts.noted({ type: 'Trained', jobId, round, attempt, ...names, dataVersion });
  }

  #dataset({ dataset }: FederatedJobSpec): DeclaredDataset {
    const handle = this.#parts.datasets.find(({ name }) => name === dataset.name);
    if (handle === undefined)
      throw new TributaryError('DATASET_UNKNOWN', `the site declares no dataset ${dataset.name}`);
    return handle;
  }

  async #upload(
    key: RoundKey,
    renew: boolean,
    task: SecureTask | undefined,
    signal: AbortSignal,
  ): Promise<SessionEvent> {
    const { outbox, submission, client, log } = this.#parts;
    try {
      const channel = client();
      if (channel === undefined) throw new TributaryError('UNAVAILABLE', 'not connected');
      if (renew) await outbox.renew(key);
      const seq = await submission.submit(channel, key, signal, task);
      log.info({ key, seq }, 'update accepted');
      return { type: 'Uploaded', key, seq };
    } catch (error) {
      const { code, detail } = redact(error);
      log.warn({ key, code, detail, ...describeUnexpected(error) }, 'upload failed');
      const { retryAfterMs } = TributaryError.from(error).fields;
      return {
        ...{ type: 'UploadFailed', key, code, detail },
        ...(typeof retryAfterMs === 'number' && { retryAfterMs }),
      };
    } finally {
      submission.expectNothing();
    }
  }
}

/** What a log says that a round is about. */
const WORK: Readonly<Record<RoundKind, string>> = {
  Training: 'training',
  Statistics: 'reading statistics',
  Evaluation: 'evaluating the model',
};

/** What a site that does not train sends: figures on its test rows, and a delta of nothing that weighs nothing. */
async function evaluateOnly(
  trainer: Trainer,
  task: EvaluationTask,
  deltaLength: number,
): Promise<TrainingResult> {
  const { examples: testExamples, ...measured } = await trainer.evaluate(task);
  return { ...measured, testExamples, delta: new Float32Array(deltaLength), examples: 0, loss: 0 };
}
