import type { LayerSpec, Layout, Shape } from '@tributary/proto';

import type { TaskType } from '../../domain/serving/served-task.js';
import type { BackendName } from '../training/backend.js';
import type { WorkerFailure } from '../training/messages.js';

/** A network to build beside those that are. Its weights go over to the worker. */
export interface BuildRequest {
  readonly kind: 'build';
  readonly key: string;
  readonly task: TaskType;
  readonly layers: readonly LayerSpec[];
  readonly layout: Layout;
  readonly input: Shape;
  readonly weights: Float32Array;
  /** Rows that it is warmed up with, besides one. */
  readonly batchRows: number;
  readonly backends: readonly BackendName[];
}

/** Rows to score: rows x width; they go over to the worker. */
export interface ScoreRequest {
  readonly kind: 'score';
  readonly key: string;
  readonly inputs: Float32Array;
}

export interface DropRequest {
  readonly kind: 'drop';
  readonly key: string;
}

export type InferenceRequest = BuildRequest | ScoreRequest | DropRequest;

export type InferenceAnswer =
  | { readonly kind: 'built'; readonly backend: string }
  | { readonly kind: 'scores'; readonly scores: Float32Array }
  | { readonly kind: 'dropped' };

/** What goes to the worker. */
export interface Numbered {
  readonly id: number;
  readonly request: InferenceRequest;
}

/** What comes back: one reply a request, in order. */
export type InferenceReply =
  | { readonly id: number; readonly answer: InferenceAnswer }
  | { readonly id: number; readonly failure: WorkerFailure };
