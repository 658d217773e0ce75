import { bytesToFloat32, LIMITS, TributaryError, type ErrorCode } from '@tributary/proto';
import { z } from 'zod';

import { FROM_TRAINER, VectorReader, type Frame } from './frames.js';

/** What the trainer is asked for. */
export interface Expected {
  readonly kind: 'train' | 'evaluate' | 'predict';
  /** Elements of the delta. */
  readonly parameters: number;
  readonly trainRows: number;
  readonly testRows: number;
  /** Scores a test row. */
  readonly outputs: number;
  /** Scores are probabilities. */
  readonly probabilities: boolean;
}

export interface TrainerAnswer {
  /** Empty where nothing was trained. */
  readonly delta: Float32Array;
  /** Of the base model, row by row. */
  readonly scores: Float32Array;
  /** Mean loss: of the last epoch, or of the test rows where nothing was trained. */
  readonly loss: number;
  readonly examples: number;
}

export interface AnswerEvents {
  readonly progress: (percent: number) => void;
  readonly checkpoint: (bytes: Uint8Array) => void;
}

const resultSchema = z.strictObject({ loss: z.number(), examples: z.int().nonnegative() });
const failureSchema = z.strictObject({
  code: z.enum(['TRAINING_FAILED', 'TRAINING_DIVERGED', 'LIMIT_EXCEEDED', 'JOB_CANCELLED']),
});

/** Bytes of a result or failure. */
const JSON_BYTES = 4 * 1024;

/**
 * Puts together what a trainer sends and believes none of it: every length is known before, every number is checked,
 * and no text of the trainer goes further than here.
 */
export class AnswerReader {
  readonly #expected: Expected;
  readonly #events: AnswerEvents;
  readonly #delta: VectorReader;
  readonly #scores: VectorReader;
  #checkpoint: Uint8Array[] = [];
  #checkpointBytes = 0;
  #percent = 0;

  constructor(expected: Expected, events: AnswerEvents) {
    this.#expected = expected;
    this.#events = events;
    this.#delta = new VectorReader(expected.kind === 'train' ? expected.parameters : 0, 'weights');
    this.#scores = new VectorReader(expected.testRows * expected.outputs, 'scores');
  }

  /** The answer, once its last frame has come. Throws what the trainer reports, or TRAINING_FAILED for nonsense. */
  push({ kind, payload }: Frame): TrainerAnswer | undefined {
    switch (kind) {
      case FROM_TRAINER.progress:
        this.#progress(payload);
        return undefined;
      case FROM_TRAINER.checkpoint:
        this.#keep(payload);
        return undefined;
      case FROM_TRAINER.checkpointEnd:
        this.#events.checkpoint(new Uint8Array(Buffer.concat(this.#checkpoint)));
        [this.#checkpoint, this.#checkpointBytes] = [[], 0];
        return undefined;
      case FROM_TRAINER.delta:
        this.#delta.push(payload);
        return undefined;
      case FROM_TRAINER.scores:
        this.#scores.push(payload);
        return undefined;
      case FROM_TRAINER.result:
        return this.#result(payload);
      case FROM_TRAINER.failure:
        throw failureOf(payload);
      default:
        throw nonsense('a frame of a kind that the protocol does not know');
    }
  }

  #progress(payload: Uint8Array): void {
    const [percent] = payload;
    if (payload.length !== 1 || percent === undefined || percent > 100)
      throw nonsense('progress that is not one byte from 0 to 100');
    if (percent > this.#percent) this.#events.progress(percent);
    this.#percent = Math.max(this.#percent, percent);
  }

  #keep(piece: Uint8Array): void {
    this.#checkpointBytes += piece.length;
    if (this.#checkpointBytes > largestCheckpoint(this.#expected.parameters))
      throw nonsense('a checkpoint that is larger than allowed');
    this.#checkpoint.push(piece);
  }

  #result(payload: Uint8Array): TrainerAnswer {
    const { probabilities, trainRows, kind } = this.#expected;
    const parsed = resultSchema.safeParse(jsonOf(payload));
    if (!parsed.success) throw nonsense('a result that is not {"loss": number, "examples": integer}');
    const { loss, examples } = parsed.data;
    const delta = bytesToFloat32(this.#delta.whole());
    const scores = bytesToFloat32(this.#scores.whole());
    if (!Number.isFinite(loss) || !delta.every(Number.isFinite))
      throw new TributaryError(
        'TRAINING_DIVERGED',
        'the trainer returned a loss or weights that are not finite',
      );
    if (!scores.every((score) => (probabilities ? score >= 0 && score <= 1 : Number.isFinite(score))))
      throw nonsense('scores that are not finite, or no probabilities');
    if (examples > trainRows || (kind === 'train' && examples === 0))
      throw nonsense('a number of examples that cannot be');
    return { delta, scores, loss, examples };
  }
}

/** Bytes of a checkpoint: eight vectors of the model, and something for the position. */
const largestCheckpoint = (parameters: number): number =>
  Math.min(LIMITS.trainerCheckpointBytes, 8 * Float32Array.BYTES_PER_ELEMENT * parameters + 1024 * 1024);

function jsonOf(payload: Uint8Array): unknown {
  if (payload.length > JSON_BYTES) return undefined;
  try {
    return JSON.parse(Buffer.from(payload).toString('utf8'));
  } catch {
    return undefined;
  }
}

function failureOf(payload: Uint8Array): TributaryError {
  const parsed = failureSchema.safeParse(jsonOf(payload));
  const code: ErrorCode = parsed.success ? parsed.data.code : 'TRAINING_FAILED';
  return new TributaryError(code, 'the trainer reports that it failed');
}

const nonsense = (what: string): TributaryError =>
  new TributaryError('TRAINING_FAILED', `the trainer sent ${what}`);
