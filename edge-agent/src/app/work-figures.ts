import type { ErrorCode } from '@tributary/proto';

import type { RoundKey } from '../domain/round-key.js';
import type { SessionEffect, SessionEvent } from '../domain/session-state.js';

/** Counts of what a process has done for rounds since its start. */
export interface WorkCounts {
  /** Rounds of any kind (training, statistics, evaluation) whose work ended. */
  readonly trained: number;
  readonly trainingFailed: number;
  /** Seconds of that work. */
  readonly trainingSeconds: number;
  readonly uploaded: number;
  /** Uploads that failed or were refused, by code; those that are tried again are counted each time. */
  readonly uploadsFailed: ReadonlyMap<ErrorCode, number>;
  readonly ordersAllowed: number;
  /** Orders that the site refused, by code. */
  readonly ordersRefused: ReadonlyMap<ErrorCode, number>;
  /** Orders that wait for an approval or for the hours of the site. */
  readonly ordersWaiting: number;
}

/** Counts what the session machine is told and tells. */
export class WorkFigures {
  readonly #startedAt = new Map<RoundKey, number>();
  readonly #uploadsFailed = new Map<ErrorCode, number>();
  readonly #ordersRefused = new Map<ErrorCode, number>();
  #trained = 0;
  #trainingFailed = 0;
  #trainingSeconds = 0;
  #uploaded = 0;
  #ordersAllowed = 0;
  #ordersWaiting = 0;

  observe(event: SessionEvent, now: number): void {
    switch (event.type) {
      case 'Trained':
        this.#trained += 1;
        return this.#ended(event.key, now);
      case 'TrainingFailed':
        this.#trainingFailed += 1;
        return this.#ended(event.key, now);
      case 'Uploaded':
        this.#uploaded += 1;
        return;
      case 'UploadFailed':
        return add(this.#uploadsFailed, event.code);
      case 'RoundAllowed':
        this.#ordersAllowed += 1;
        return;
      case 'OrderRefused':
        if (event.wait === undefined) add(this.#ordersRefused, event.code);
        else this.#ordersWaiting += 1;
        return;
      default:
    }
  }

  asked(effect: SessionEffect, now: number): void {
    if (effect.type === 'Train') this.#startedAt.set(effect.key, now);
  }

  get counts(): WorkCounts {
    return {
      trained: this.#trained,
      trainingFailed: this.#trainingFailed,
      trainingSeconds: this.#trainingSeconds,
      uploaded: this.#uploaded,
      uploadsFailed: this.#uploadsFailed,
      ordersAllowed: this.#ordersAllowed,
      ordersRefused: this.#ordersRefused,
      ordersWaiting: this.#ordersWaiting,
    };
  }

  #ended(key: RoundKey, now: number): void {
    const at = this.#startedAt.get(key) ?? now;
    this.#startedAt.delete(key);
    this.#trainingSeconds += Math.max(0, now - at) / 1_000;
  }
}

function add(counts: Map<ErrorCode, number>, code: ErrorCode): void {
  counts.set(code, (counts.get(code) ?? 0) + 1);
}
