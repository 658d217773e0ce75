import type { ErrorCode, FederatedJobSpec, Layout } from '@tributary/proto';

import type { Predictions } from '../../domain/metrics/predictions.js';
import type { DatasetHandle, EvaluationResult, TrainingResult } from '../../ports.js';
import type { BackendName } from './backend.js';

/** What the agent asks of the training worker, one at a time. The buffer of `weights` is transferred. */
export interface WorkerRequest {
  readonly kind: 'train' | 'evaluate' | 'predict';
  readonly spec: FederatedJobSpec;
  readonly layout: Layout;
  readonly weights: Float32Array;
  readonly dataset: DatasetHandle;
  /** 0 where the request is not part of a round. */
  readonly round: number;
  /** Backends to try, in order. */
  readonly backends: readonly BackendName[];
  /** One shared word; not 0 means stop. Shared memory, because a worker that computes reads no messages. */
  readonly stop: Int32Array;
}

/** What the worker answers: any number of progress and backend messages, then one result or failure. */
export type WorkerReply =
  | { readonly type: 'progress'; readonly percent: number }
  /** The backend that this request runs on; `refused` says why others that come first do not serve it. */
  | { readonly type: 'backend'; readonly label: string; readonly refused: readonly string[] }
  /** `tensors`: alive in the worker after it cleaned up; constant, or there is a leak. */
  | { readonly type: 'result'; readonly result: WorkerResult; readonly tensors: number }
  | { readonly type: 'failure'; readonly failure: WorkerFailure };

export type WorkerResult =
  | ({ readonly kind: 'train' } & TrainingResult)
  | ({ readonly kind: 'evaluate' } & EvaluationResult)
  | ({ readonly kind: 'predict' } & Predictions);

/** A {@link TributaryError} across threads: our own words only, never those of a library, which may quote data. */
export interface WorkerFailure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string;
  readonly fields: Readonly<Record<string, string | number | boolean>>;
}
