import type { Digest, FederatedJobSpec, Layout } from '@tributary/proto';

export interface Clock {
  now(): number;
  at(atMs: number, action: () => void): () => void;
}

export interface Random {
  bytes(length: number): Uint8Array;
}

export interface Signer {
  readonly publicKey: Uint8Array;
  sign(message: Uint8Array): Uint8Array;
}

/** Small durable state of the agent, sealed: identity, certificates, session epoch, tree head, job progress. */
export interface StateStore {
  get(key: string): Promise<Uint8Array | undefined>;
  /** Durable when it resolves; all or none. */
  put(changes: Readonly<Record<string, Uint8Array | undefined>>): Promise<void>;
  list(prefix: string): AsyncIterable<{ readonly key: string; readonly value: Uint8Array }>;
  close(): Promise<void>;
}

/** Large sealed files of the outbox: deltas and envelopes. Names are chosen by the caller. */
export interface SealedFiles {
  /** Written, synced, then renamed: either whole or absent. */
  write(name: string, chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<void>;
  read(name: string): AsyncIterable<Uint8Array>;
  has(name: string): Promise<boolean>;
  remove(name: string): Promise<void>;
  list(): Promise<readonly string[]>;
}

/** One trainer, whatever language or process it runs in. It sees rows of the site; it returns a vector. */
export interface Trainer {
  /** Name and version, for `describe`; it may change with the first task, when the backend is chosen. */
  readonly backend: string;
  /** Resolves when the last epoch is done. Rejects with TRAINING_DIVERGED, TRAINING_FAILED, DATASET_*, LIMIT_EXCEEDED, or JOB_CANCELLED after `signal`. */
  train(task: TrainingTask, events: TrainingEvents): Promise<TrainingResult>;
  /** Metrics of `weights` on the site's test split, without training. */
  evaluate(task: EvaluationTask): Promise<EvaluationResult>;
  close(): Promise<void>;
}

export interface TrainingTask {
  readonly jobId: string;
  readonly round: number;
  readonly spec: FederatedJobSpec;
  readonly layout: Layout;
  /** Base model: layout.length float32 values; ownership passes to the trainer. */
  readonly weights: Float32Array;
  readonly dataset: DatasetHandle;
  readonly signal: AbortSignal;
}

export interface TrainingEvents {
  /** 0 to 100. */
  progress(percent: number): void;
}

export interface TrainingResult {
  /** weights after training minus base, layout.length values, not clipped, not weighted. */
  readonly delta: Float32Array;
  /** Rows trained on. */
  readonly examples: number;
  /** Mean loss over the last epoch. */
  readonly loss: number;
  /** Metrics of the base model on the site's test split, by the names of the job; NaN where one is undefined. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Rows of the test split: the weight of `metrics`. 0 where the job keeps none. */
  readonly testExamples: number;
}

export type EvaluationTask = Omit<TrainingTask, 'signal' | 'round'>;

export interface EvaluationResult {
  /** Rows of the test split. */
  readonly examples: number;
  readonly loss: number;
  readonly metrics: Readonly<Record<string, number>>;
}

/** What a trainer needs to read the site's rows by itself: a declaration, not the rows. */
export interface DatasetHandle {
  readonly name: string;
  /** Absolute path of the CSV file. */
  readonly path: string;
  /** Rows that the site's policy demands; fewer reject with DATASET_TOO_SMALL. */
  readonly minimumRows: number;
  /** Digest of the declaration, for logs. */
  readonly declarationDigest: Digest;
}
