import { decodeTrainingCheckpoint, encodeTrainingCheckpoint } from './checkpoint.js';
import type { TaskRequest, WorkerReply } from './messages.js';
import type { EpochState } from './training-loop.js';

type Report = (reply: WorkerReply) => void;

/** Gives out checkpoints between epochs, but no more often than asked: a short epoch is sooner done again than written. */
export class CheckpointWriter {
  readonly #everyMs: number | undefined;
  readonly #identity: string;
  readonly #report: Report;
  #lastMs = performance.now();

  constructor(
    { checkpointEveryMs }: Pick<TaskRequest, 'checkpointEveryMs'>,
    identity: string,
    report: Report,
  ) {
    this.#everyMs = checkpointEveryMs;
    this.#identity = identity;
    this.#report = report;
  }

  epochDone(take: () => EpochState): void {
    if (this.#everyMs === undefined || performance.now() - this.#lastMs < this.#everyMs) return;
    const bytes = encodeTrainingCheckpoint({ ...take(), identity: this.#identity });
    this.#report({ type: 'checkpoint', bytes });
    this.#lastMs = performance.now();
  }
}

/** Where the interrupted training stood; undefined where there is none, or one that would not give the same bits. */
export function readResume(
  { resume, layout }: Pick<TaskRequest, 'resume' | 'layout'>,
  identity: string,
  report: Report,
): EpochState | undefined {
  if (resume === undefined) return undefined;
  const checkpoint = readable(resume);
  if (checkpoint?.identity !== identity || checkpoint.weights.length !== layout.length) return undefined;
  report({ type: 'resumed', epochs: checkpoint.epoch });
  return checkpoint;
}

/** A checkpoint saves time and nothing else: one that is damaged, or of a newer version, is as good as none. */
function readable(bytes: Uint8Array) {
  try {
    return decodeTrainingCheckpoint(bytes);
  } catch {
    return undefined;
  }
}
