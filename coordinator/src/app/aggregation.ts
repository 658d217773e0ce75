import {
  applyMean,
  ByteReader,
  bytesToFloat32,
  decodeTail,
  FLOAT32_BYTES,
  float32ToBytes,
  LIMITS,
  RingSum,
  TributaryError,
  updateRange,
  type Sums,
  type Digest,
} from '@tributary/proto';

import type { JobState } from '../domain/federation-state.js';
import { summedUpdates } from '../domain/rounds/round-progress.js';
import type { RoundState } from '../domain/rounds/round-state.js';
import type { GroupReport } from '../domain/federation-state.js';
import type { BlobStore, Spool } from '../ports.js';
import type { AppLog } from './app-log.js';
import { reportOf } from './round-report.js';
import { isSameRound, refOf, roundName, type RoundRef } from './round-ref.js';
import { RoundSum, type AcceptedUpload, type SumStores } from './round-sum.js';
import type { SecureRounds } from './secure-rounds.js';
import { shapeOf, vectorsOf } from './round-vectors.js';

/** What `round.committed` says of the sum. */
export interface RoundResult {
  readonly modelDigest: Digest;
  /** Upload ids in the sum. */
  readonly folded: readonly string[];
  /** Means over the sites as shortest decimal strings: `loss` and the metrics of the job. */
  readonly metrics: Readonly<Record<string, string>>;
  /** Every evaluation group; only of jobs that ask for more than the means. */
  readonly evaluation?: readonly GroupReport[];
}

export interface AggregationParts extends SumStores {
  readonly blobs: BlobStore;
  readonly secure: Pick<SecureRounds, 'unmask'>;
  readonly log: AppLog;
}

/** Sums in the clear. */
interface OpenSums {
  /** Of the tails. */
  readonly tail: Float64Array;
  /** Of `into.length` parameters from `offset` on. */
  readSums(offset: number, into: Float64Array): void;
}

/**
 * Adds accepted updates up, one at a time in the background, and turns the sum into the next model. It follows the
 * state: whatever the ledger says is accepted and the sum does not hold is folded, so a restart needs nothing else.
 */
export class Aggregation {
  readonly #parts: AggregationParts;
  #sum: RoundSum | undefined;
  #spare: Sums | undefined;
  /** The sum of the round without its masks. */
  #opened: { readonly accumulator: RingSum; readonly sums: OpenSums } | undefined;
  /** Why the sum of a round cannot be completed. */
  #failure: { readonly ref: RoundRef; readonly error: TributaryError } | undefined;
  #queue: Promise<void> = Promise.resolve();
  /** Uploads that no turn of the queue has taken yet. */
  readonly #waiting: (AcceptedUpload & { readonly ref: RoundRef })[] = [];
  #openedEarly = 0;
  /** By name of the round: upload ids that were queued. */
  readonly #queued = new Map<string, Set<string>>();

  constructor(parts: AggregationParts) {
    this.#parts = parts;
  }

  /** Queues the accepted updates of the job's round that are not in the sum yet. Returns at once. */
  follow(job: JobState, round: RoundState): void {
    const queued = this.#queued.get(roundName(round)) ?? new Set();
    this.#queued.set(roundName(round), queued);
    for (const { uploadId } of round.updates.values()) {
      if (queued.has(uploadId)) continue;
      queued.add(uploadId);
      this.#waiting.push({ ref: refOf(round), uploadId, spool: this.#openEarly(uploadId) });
      this.#queue = this.#queue.then(() => this.#fold(job, round));
    }
  }

  /**
   * Waits for the sum of a round whose stages are closed, and stores the model that it makes; an evaluation makes none.
   * Rejects with STORE_CORRUPT where an accepted update or the base was lost, UPDATE_OUT_OF_RANGE where the weights add
   * up to nothing, and as `SecureRounds.unmask` does.
   */
  async finish(job: JobState, round: RoundState): Promise<RoundResult> {
    this.follow(job, round);
    await this.#queue;
    if (this.#failure !== undefined && isSameRound(this.#failure.ref, round)) throw this.#failure.error;
    const folded = summedUpdates(round).map(({ uploadId }) => uploadId);
    const sum = this.#sum;
    if (sum === undefined || !isSameRound(sum.ref, round) || sum.folded.size !== folded.length) {
      throw new TributaryError('INTERNAL', 'the sum does not hold exactly the accepted updates');
    }
    return { ...(await this.#makeModel(await this.#open(sum, job, round), job, round)), folded };
  }

  /** The round is settled: its memory serves the next one, its checkpoint goes. Waits for a fold at work. */
  async discard(ref: RoundRef): Promise<void> {
    await this.#queue;
    this.#queued.delete(roundName(ref));
    if (this.#sum !== undefined && isSameRound(this.#sum.ref, ref)) {
      this.#spare = this.#sum.accumulator;
      this.#sum = undefined;
      this.#opened = undefined;
    }
    if (this.#failure !== undefined && isSameRound(this.#failure.ref, ref)) this.#failure = undefined;
    await this.#parts.checkpoints.delete(roundName(ref));
  }

  /** No round follows at once: gives the memory of the last sum back. */
  release(): void {
    this.#spare = undefined;
  }

  /** Waits for the folds that are queued. */
  async idle(): Promise<void> {
    await this.#queue;
  }

  /** Opens the spool while its reception still holds it: opened anew, a file is read once more to count its chunks. */
  #openEarly(uploadId: string): Promise<Spool | undefined> | undefined {
    if (this.#openedEarly >= LIMITS.concurrentUploads) return undefined;
    this.#openedEarly += 1;
    const spool = this.#parts.spools.open(uploadId);
    spool.catch(() => undefined);
    return spool;
  }

  /** Adds what waits of the round; the turns of those that went along with an earlier one find nothing. */
  async #fold(job: JobState, round: RoundState): Promise<void> {
    const batch = this.#take(round);
    if (batch.length === 0) return;
    try {
      if (this.#failure !== undefined && isSameRound(this.#failure.ref, round)) return;
      const sum = await this.#sumOf(job, round);
      await sum.fold(batch);
    } catch (cause) {
      const error = TributaryError.from(cause);
      const uploadIds = batch.map(({ uploadId }) => uploadId);
      this.#parts.log.error({ error, ...refOf(round), uploadIds }, 'accepted updates could not be added');
      this.#failure = { ref: refOf(round), error };
      this.#sum = undefined;
    } finally {
      for (const { spool } of batch) {
        if (spool === undefined) continue;
        this.#openedEarly -= 1;
        await spool.then((opened) => opened?.close()).catch(() => undefined);
      }
    }
  }

  #take(round: RoundRef): readonly AcceptedUpload[] {
    const batch = this.#waiting.filter(({ ref }) => isSameRound(ref, round)).slice(0, LIMITS.foldedTogether);
    for (const upload of batch) this.#waiting.splice(this.#waiting.indexOf(upload), 1);
    return batch;
  }

  async #sumOf(job: JobState, round: RoundState): Promise<RoundSum> {
    if (this.#sum !== undefined && isSameRound(this.#sum.ref, round)) return this.#sum;
    const range = round.secure === undefined ? updateRange(vectorsOf(job, round).bounds) : undefined;
    const shape = { shape: shapeOf(job, round), range };
    const spare = this.#spare;
    this.#spare = undefined;
    this.#sum = undefined;
    const sum = await RoundSum.open(refOf(round), shape, this.#parts, spare);
    const accepted = new Set([...round.updates.values()].map(({ uploadId }) => uploadId));
    if ([...sum.folded].some((uploadId) => !accepted.has(uploadId))) {
      throw new TributaryError(
        'STORE_CORRUPT',
        'the checkpoint holds an update that the ledger does not accept',
      );
    }
    this.#sum = sum;
    return sum;
  }

  /** Masks are taken away in place, so once: a step that is tried again finds the sum open. */
  async #open(sum: RoundSum, job: JobState, round: RoundState): Promise<OpenSums> {
    const { accumulator } = sum;
    if (accumulator instanceof RingSum) {
      if (this.#opened?.accumulator !== accumulator)
        this.#opened = { accumulator, sums: await this.#parts.secure.unmask(accumulator, job, round) };
      return this.#opened.sums;
    }
    const { parameters, tail } = shapeOf(job, round);
    const figures = new Float64Array(tail);
    accumulator.readSums(parameters, figures);
    return { tail: figures, readSums: (offset, into) => accumulator.readSums(offset, into) };
  }

  async #makeModel(sums: OpenSums, job: JobState, round: RoundState): Promise<Omit<RoundResult, 'folded'>> {
    const { parameters } = shapeOf(job, round);
    const means = decodeTail(sums.tail, vectorsOf(job, round).tail);
    const { task } = job.document.spec;
    if (round.kind === 'Evaluation') return { modelDigest: round.baseDigest, ...reportOf(means, task) };
    const { digest } = await this.#parts.blobs.put(
      this.#newWeights(sums, round.baseDigest, parameters, means.weight),
    );
    return {
      modelDigest: digest,
      ...(round.kind === 'Statistics' ? { metrics: {} } : reportOf(means, task)),
    };
  }

  /** base + sum / weight, chunk by chunk: no second copy of the model is ever held. */
  async *#newWeights(
    open: OpenSums,
    base: Digest,
    parameters: number,
    weight: number,
  ): AsyncGenerator<Uint8Array> {
    const reader = new ByteReader(
      this.#parts.blobs.read(base),
      () => new TributaryError('STORE_CORRUPT', `blob ${base} is shorter than the model`),
    );
    const sums = new Float64Array(LIMITS.chunkBytes / FLOAT32_BYTES);
    try {
      for (let offset = 0; offset < parameters; offset += sums.length) {
        const count = Math.min(sums.length, parameters - offset);
        const weights = bytesToFloat32(await reader.take(count * FLOAT32_BYTES));
        const part = sums.subarray(0, count);
        open.readSums(offset, part);
        applyMean(weights, part, weight);
        yield float32ToBytes(weights);
      }
      // Reading to the end is what makes the store compare the digest.
      if (!(await reader.atEnd()))
        throw new TributaryError('STORE_CORRUPT', `blob ${base} is longer than the model`);
    } finally {
      await reader.close();
    }
  }
}
