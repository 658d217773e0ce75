import type { CellFault, DecisionRule, FeatureFit, ModelManifest, Row, Vocabulary } from '@tributary/proto';

/** A registered version of a model, as `name@version`. */
export interface ModelRef {
  readonly name: string;
  /** Counts from 1. */
  readonly version: number;
}

/** A model version whose bytes match its manifest. */
export interface VerifiedModel {
  readonly manifest: ModelManifest;
  /** What the coordinator signed. */
  readonly manifestBytes: Uint8Array;
  /** layout.length finite values. */
  readonly weights: Float32Array;
}

/** How rows are gathered: a batch begins when it is full, or its first row has waited for the budget. */
export interface BatchRule {
  /** Rows, 1 to LIMITS.predictionRows. A larger request is a batch of its own. */
  readonly maximumRows: number;
  /** Milliseconds, from 0; 0 gathers what arrives in one turn of the event loop. */
  readonly budgetMs: number;
}

/** What a predictor needs to answer for a version. */
export interface ModelLoad {
  readonly manifest: ModelManifest;
  /** Read at the start, and again where the worker died. Rejects with STORE_CORRUPT, NOT_FOUND. */
  readonly weights: () => Promise<Float32Array>;
  /** What this site scales for itself; absent where no feature needs it. */
  readonly fit?: FeatureFit;
  /** Of the site's policy; absent where no feature needs one. */
  readonly vocabularies?: readonly Vocabulary[];
  readonly batch?: BatchRule;
}

/** A version that answers. */
export interface LoadedModel extends ModelRef {
  readonly manifest: ModelManifest;
  readonly task: 'Binary' | 'MultiClass' | 'Regression';
  /** What each score means: the positive value, the classes in order, or the label's column. */
  readonly outputs: readonly string[];
  /** Columns that a row should have. */
  readonly columns: readonly string[];
  /** True for the version that answers where a request names none. */
  readonly active: boolean;
  /** TensorFlow.js backend. */
  readonly backend: string;
}

interface PredictionTarget {
  readonly model: string;
  /** That of the request; the active one of the moment at which its batch begins where absent. */
  readonly version?: number;
  /** One a row: ids that the answers carry. Made where absent: 32 hex digits. */
  readonly decisionIds?: readonly string[];
  /** The rows are a batch already: it begins as soon as the worker has room, whatever the budget of the model. */
  readonly gathered?: boolean;
}

/** Rows by their columns. */
export interface RowsRequest extends PredictionTarget {
  readonly rows: readonly Row[];
}

/** Rows that are encoded already: rows x the width of the model, finite. */
export interface EncodedRequest extends PredictionTarget {
  readonly inputs: Float32Array;
}

export type PredictionRequest = RowsRequest | EncodedRequest;

/** A cell that could not be read; it counted as missing. */
export interface RowIssue {
  /** Index of the row in the request. */
  readonly row: number;
  readonly column: string;
  readonly reason: CellFault;
}

/** The answer to one request: all its rows by one version. */
export interface PredictionResult {
  readonly model: string;
  readonly version: number;
  readonly outputs: readonly string[];
  /** Probabilities, or values of a regression; rows x outputs, row-major. */
  readonly scores: Float32Array;
  /** The most probable class of each row; of models with classes only. */
  readonly labels?: readonly string[];
  readonly decisionIds: readonly string[];
  readonly issues: readonly RowIssue[];
  /** Milliseconds from the request to the answer. */
  readonly latencyMs: number;
}

/** Figures of one model since the start. */
export interface PredictionFigures {
  readonly model: string;
  readonly requests: number;
  readonly rows: number;
  readonly batches: number;
  readonly refused: number;
  readonly failed: number;
  /** Cells that could not be read. */
  readonly issues: number;
  /** Milliseconds, over the newest requests; NaN without any. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface PredictorFigures {
  readonly models: readonly PredictionFigures[];
  /** Rows that wait for a batch. */
  readonly waitingRows: number;
  /** Times that the worker was replaced. */
  readonly restarts: number;
}

/** Answers for models, apart from training. */
export interface Predictor {
  /**
   * Makes a version ready beside those that are: builds it, loads its weights and warms it up. It answers requests that
   * name it, and others after {@link activate}. Rejects with LIMIT_EXCEEDED, INVALID_ARGUMENT (a feature lacks its
   * fit), POLICY_REFUSED (a vocabulary is missing), and what `weights` rejects with.
   */
  load(model: ModelLoad): Promise<LoadedModel>;
  /** The version answers from the next batch on. Throws NOT_FOUND where it is not loaded. */
  activate(ref: ModelRef): void;
  /** Lets a version go once its requests are through. Without its active version a model answers by name no more. */
  unload(ref: ModelRef): Promise<void>;
  models(): readonly LoadedModel[];
  /**
   * Every request is answered once, by one version. Rejects with NOT_FOUND (no such model or version is loaded),
   * INVALID_ARGUMENT, LIMIT_EXCEEDED (too many rows), OVERLOADED (too many wait), UNAVAILABLE (the worker died twice
   * over it), SHUTTING_DOWN.
   */
  predict(request: PredictionRequest): Promise<PredictionResult>;
  figures(): PredictorFigures;
  /** What waits rejects with SHUTTING_DOWN. */
  close(): Promise<void>;
}

/** Versions of one model that a site points at. */
export interface ModelPointers {
  /** Answers. */
  readonly current?: number;
  /** Answered before, and can again without a coordinator. */
  readonly lastGood?: number;
}

export interface StoredModel extends VerifiedModel {
  /** The coordinator's over the manifest: 64 bytes. Whoever puts a version verifies it. */
  readonly signature: Uint8Array;
}

export interface NewModel {
  readonly manifestBytes: Uint8Array;
  readonly signature: Uint8Array;
  readonly weights: Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
}

/** Model versions at the site, apart from the state of the agent. */
export interface ModelStore {
  /**
   * Takes a version; durable when it resolves, and nothing is left where it rejects. The same again changes nothing.
   * Rejects with INVALID_ARGUMENT or FORMAT_UNSUPPORTED (manifest), STORE_CORRUPT (weights that are not those of the
   * manifest), ALREADY_EXISTS (another manifest has that name and version), STORE_FULL.
   */
  put(model: NewModel): Promise<ModelRef>;
  /** Rejects with NOT_FOUND, or STORE_CORRUPT naming the file that does not match its digest. */
  open(ref: ModelRef): Promise<StoredModel>;
  /** By name and version. */
  list(): Promise<readonly ModelRef[]>;
  /** Rejects with STORE_CORRUPT, FORMAT_UNSUPPORTED. */
  pointers(name: string): Promise<ModelPointers>;
  /** Durable when it resolves. Rejects with NOT_FOUND where a version is not in the store. */
  point(name: string, pointers: ModelPointers): Promise<void>;
  /** Idempotent. Rejects with CONFLICT where a pointer names the version. */
  remove(ref: ModelRef): Promise<void>;
}

/** What the log keeps of a prediction. */
export interface PredictionEntry {
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly decisionId: string;
  readonly model: string;
  readonly version: number;
  /** Where the input came from: `oip`, or the name of a pipeline. */
  readonly source: string;
  readonly scores: readonly number[];
  readonly label?: string;
  readonly latencyMs: number;
  /** The input, asked for only where the log keeps digests: a digest under a key of the site, never the input. */
  readonly input?: () => Uint8Array | string;
}

/** The site's own record of predictions, kept for a time. */
export interface PredictionLog {
  /** Resolves when the lines are in the file. Rejects with OVERLOADED where too many wait, STORE_FULL. */
  record(entries: readonly PredictionEntry[]): Promise<void>;
  /** Writes what waits. */
  close(): Promise<void>;
}

/** The logs of predictions of a site, one for each source. */
export interface PredictionLogs {
  /**
   * Opens the log of a source: `oip`, or a pipeline by its name. What is too old or too much goes while nothing is
   * recorded too. Rejects with ALREADY_EXISTS where it is open.
   */
  open(source: string, rule: DecisionRule): Promise<PredictionLog>;
}
