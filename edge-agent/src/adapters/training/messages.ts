import type { ErrorCode, FeatureFit, FederatedJobSpec, Layout, Shape } from '@tributary/proto';

import type { Predictions } from '../../domain/metrics/predictions.js';
import type { DatasetHandle, EvaluationResult, TrainingResult } from '../../ports.js';
import type { BackendName } from './backend.js';
import type { NativePackages } from './native-backend.js';
import type { Refusal } from './probe.js';
import type { StopWord } from './stop-word.js';

/** How tasks of the worker choose a backend. */
export interface BackendSettings {
  /** Backends to try, in order. */
  readonly backends: readonly BackendName[];
  readonly packages: NativePackages;
  /** Of the processes in which bindings are tried. */
  readonly environment: Readonly<Record<string, string>>;
  /** Ends the processes in which bindings are tried, and the task. */
  readonly stop: StopWord;
}

interface Request extends BackendSettings {
  readonly spec: FederatedJobSpec;
  readonly layout: Layout;
}

/** Work on rows. The buffers of `weights` and `resume` are transferred. */
export interface TaskRequest extends Request {
  readonly kind: 'train' | 'evaluate' | 'predict';
  readonly weights: Float32Array;
  readonly dataset: DatasetHandle;
  /** What the features learned besides the job; none where absent. */
  readonly fit?: FeatureFit;
  /** 0 where the request is not part of a round. */
  readonly round: number;
  /** 1 to 100: share of its time in which the worker computes. */
  readonly cpuPercent: number;
  /** Milliseconds between two checkpoints, at least; none are made where absent. */
  readonly checkpointEveryMs?: number;
  /** The newest checkpoint of an interrupted training of this round. */
  readonly resume?: Uint8Array;
}

/** Which backend would train the model? */
export interface ExplainRequest extends Request {
  readonly kind: 'explain';
  /** Shape of a row. */
  readonly input: Shape;
}

/** What the agent asks of the training worker, one at a time. */
export type WorkerRequest = TaskRequest | ExplainRequest;

/** What the worker answers: any number of other messages, then one result or failure. */
export type WorkerReply =
  | { readonly type: 'progress'; readonly percent: number }
  /** The backend that this request runs on; `refused` says why others that come first do not serve it. */
  | { readonly type: 'backend'; readonly label: string; readonly refused: readonly Refusal[] }
  /** How far the training has come, for a later `resume`. */
  | { readonly type: 'checkpoint'; readonly bytes: Uint8Array }
  /** The training goes on after so many epochs of an interrupted one. */
  | { readonly type: 'resumed'; readonly epochs: number }
  /** `tensors`: alive in the worker after it cleaned up; constant, or there is a leak. */
  | { readonly type: 'result'; readonly result: WorkerResult; readonly tensors: number }
  | { readonly type: 'failure'; readonly failure: WorkerFailure };

export type WorkerResult =
  | ({ readonly kind: 'train' } & TrainingResult)
  | ({ readonly kind: 'evaluate' } & EvaluationResult)
  | ({ readonly kind: 'predict' } & Predictions)
  | ({ readonly kind: 'explain' } & Explanation);

/** Which backend was chosen for a model, and why those before it were not. */
export interface Explanation {
  readonly chosen: BackendName | undefined;
  readonly refused: readonly Refusal[];
}

/** A {@link TributaryError} across threads: our own words only, never those of a library, which may quote data. */
export interface WorkerFailure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string;
  readonly fields: Readonly<Record<string, string | number | boolean>>;
}
