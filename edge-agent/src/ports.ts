import type {
  Cosignature,
  DatasetRule,
  Digest,
  FeatureFit,
  FederatedJobSpec,
  GroupNumbers,
  Layout,
  SignedTreeHead,
  SiteStatistics,
} from '@tributary/proto';

import type { CoordinatorMessage } from './coordinator-messages.js';
import type { DatasetDeclaration } from './domain/datasets/declaration.js';
import type { RoundRef } from './domain/round-key.js';
import type { StageMessage, StageRef, StageResult } from './stage-ports.js';

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

/** Large files of the outbox. Names are chosen by the caller: letters, digits, "-" and ".". */
export interface OutboxFiles {
  /** Sealed under the site's key: deltas. Synced, then renamed: either whole or absent. */
  writeSealed(name: string, chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<void>;
  /** What was sealed. Rejects with NOT_FOUND, SEAL_BROKEN; never yields unverified bytes. */
  readSealed(name: string): AsyncIterable<Uint8Array>;
  /**
   * As it is, for what is ciphertext already: envelopes. Yields each chunk once it is in the file; whoever stops early
   * waits until the rest is there too. Where the chunks fail nothing is left. Not synced: what the death of the process
   * cut short, or a power cut damaged, can be made again from what is sealed.
   */
  writeThrough(name: string, chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined>;
  /** Bytes from `offset` on, in pieces of `pieceBytes`; the last may be shorter. Rejects with NOT_FOUND. */
  read(name: string, offset: number, pieceBytes: number): AsyncIterable<Uint8Array>;
  has(name: string): Promise<boolean>;
  /** Idempotent. */
  remove(name: string): Promise<void>;
  list(): Promise<readonly string[]>;
}

/** The part of {@link OutboxFiles} that seals. */
export type SealedFiles = Pick<OutboxFiles, 'writeSealed' | 'readSealed' | 'has' | 'remove' | 'list'>;

/** Append-only, durable lines. */
export interface LineLog {
  /** Durable when it resolves. `line` holds no line end. */
  append(line: Uint8Array): Promise<void>;
  /** Lines from the first on; a torn last line is not among them. */
  read(): AsyncIterable<Uint8Array>;
}

/** A TLS key of this agent and the request for its certificate. */
export interface TlsKey {
  /** ECDSA P-256, PKCS #8 DER. */
  readonly privateKey: Uint8Array;
  /** PKCS #10 DER. */
  readonly csr: Uint8Array;
}

export interface TlsKeyMaker {
  create(): Promise<TlsKey>;
}

/** What the agent needs to know of a certificate (DER). Methods throw INVALID_ARGUMENT where it is none. */
export interface CertificateReader {
  /** Milliseconds since the epoch. */
  validity(certificate: Uint8Array): { readonly notBeforeMs: number; readonly notAfterMs: number };
  /** True where `certificate` was issued by `authority` for the key of `privateKey`. */
  belongs(certificate: Uint8Array, authority: Uint8Array, privateKey: Uint8Array): boolean;
}

/** Whom the agent trusts to be the coordinator, and as whom it presents itself. DER. */
export interface ChannelIdentity {
  readonly authority: Uint8Array;
  readonly client?: { readonly certificate: Uint8Array; readonly privateKey: Uint8Array };
}

/** Opens channels to the coordinator, through the site's proxy where there is one. Addresses are host:port. */
export interface Dialer {
  /** Certificates (DER) that the server at `address` presents, leaf first; nothing about them has been verified. */
  presentedChain(address: string): Promise<readonly Uint8Array[]>;
  /** True where a corporate CA bundle is trusted besides the coordinator's own CA. */
  readonly hasBundle: boolean;
  enrolment(address: string, identity: Partial<ChannelIdentity>): Promise<EnrolmentClient>;
  fleet(address: string, identity: ChannelIdentity): Promise<FleetClient>;
  /** Why a connection fails, where the reason is between here and the coordinator: the proxy. */
  diagnose(address: string): Promise<Error | undefined>;
}

export interface EnrolRequest {
  readonly versions: readonly string[];
  readonly tokenId: string;
  readonly identityKey: Uint8Array;
  readonly csr: Uint8Array;
  readonly tokenSignature: Uint8Array;
  readonly identitySignature: Uint8Array;
}

export interface EnrolAnswer {
  readonly version: string;
  readonly agentId: string;
  readonly site: string;
  /** Empty for an agent that trains. */
  readonly kind: string;
  readonly certificate: Uint8Array;
  readonly authority: Uint8Array;
  readonly logId: string;
  readonly logKey: Uint8Array;
  readonly modelKey: Uint8Array;
  readonly fleetAddress: string;
}

/** Every method has a deadline and rejects with the coordinator's own code, or UNAVAILABLE. */
export interface EnrolmentClient {
  enroll(request: EnrolRequest): Promise<EnrolAnswer>;
  challenge(agentId: string): Promise<Uint8Array>;
  renew(
    request: RenewalRequest,
  ): Promise<{ readonly certificate: Uint8Array; readonly authority: Uint8Array }>;
  close(): void;
}

export interface RenewalRequest {
  readonly agentId: string;
  readonly nonce: Uint8Array;
  readonly csr: Uint8Array;
  readonly identitySignature: Uint8Array;
}

/** A version of a model that answers at the site. */
export interface ServedVersion {
  readonly name: string;
  readonly version: number;
}

export type AgentMessage =
  | {
      readonly type: 'Hello';
      readonly versions: readonly string[];
      readonly software: string;
      readonly sessionEpoch: bigint;
      readonly spendLogHead: Uint8Array;
      readonly treeHead: SignedTreeHead | undefined;
      readonly backend: string;
      readonly datasets: readonly string[];
      readonly serving: readonly ServedVersion[];
      /** Of `treeHead`. */
      readonly cosignature: Cosignature | undefined;
      readonly signature: Uint8Array;
    }
  | {
      readonly type: 'Acknowledge';
      readonly orderId: string;
      readonly accepted: boolean;
      readonly code: string;
      readonly detail: string;
      /** Where the site is not ready yet: what it waits for, and for how many milliseconds where that is known. */
      readonly wait?: { readonly reason: 'Approval' | 'Schedule'; readonly waitMs: number };
    }
  | ({ readonly type: 'JobDecision' } & SignedJobDecision)
  | { readonly type: 'Progress'; readonly jobId: string; readonly round: number; readonly percent: number }
  | ({ readonly type: 'Failure'; readonly code: string; readonly detail: string } & RoundRef)
  | {
      readonly type: 'Heartbeat';
      readonly serving: readonly ServedVersion[];
      /** Of the newest verified head, once for each. */
      readonly cosignature?: Cosignature;
    };

/** The site's decision about a job, as it is signed; see the `approval` transcript. */
export interface SignedJobDecision {
  readonly jobId: string;
  readonly jobDigest: Digest;
  readonly decision: 'Approved' | 'Rejected';
  readonly approverName: string;
  /** Ed25519, 32 bytes. */
  readonly approverKey: Uint8Array;
  /** RFC 3339, UTC, milliseconds. */
  readonly decidedAt: string;
  /** By the approver's key. */
  readonly signature: Uint8Array;
  /** By the identity key of the agent. */
  readonly siteSignature: Uint8Array;
}

export interface FleetStream {
  send(message: AgentMessage): void;
  /** Ends when the coordinator ends the stream; throws a TributaryError where the stream breaks. */
  readonly messages: AsyncIterable<CoordinatorMessage>;
  close(): void;
}

export type UploadPart =
  | {
      readonly type: 'Header';
      readonly uploadId: string;
      readonly header: Uint8Array;
      readonly signature: Uint8Array;
    }
  | { readonly type: 'Chunk'; readonly index: number; readonly data: Uint8Array }
  | {
      readonly type: 'Seal';
      readonly chunkCount: number;
      readonly tagsDigest: Uint8Array;
      readonly signature: Uint8Array;
    };

export type UploadStatus =
  | { readonly state: 'Unknown' }
  | { readonly state: 'Receiving'; readonly nextChunk: number }
  | { readonly state: 'Accepted'; readonly seq: number }
  | { readonly state: 'Refused'; readonly code: string; readonly detail: string; readonly seq: number };

/** What a blob belongs to: an open round, or a rollout that the site follows. */
export type BlobOwner = { readonly jobId: string; readonly round: number } | { readonly rolloutId: string };

export type BlobRequest = BlobOwner & { readonly digest: Digest; readonly offset: number };

/** One channel. Every method rejects with the coordinator's own code, or UNAVAILABLE, DEADLINE_EXCEEDED. */
export interface FleetClient {
  connect(): FleetStream;
  /** Pieces in order from the offset of the request on. */
  fetchBlob(request: BlobRequest, signal: AbortSignal): AsyncIterable<Uint8Array>;
  uploadStatus(uploadId: string, signal: AbortSignal): Promise<UploadStatus>;
  /** Resolves with the ledger entry that accepts the update. */
  submitUpdate(
    parts: AsyncIterable<UploadPart>,
    signal: AbortSignal,
    jobId: string,
  ): Promise<{ readonly seq: number }>;
  /** Says something in the open stage of a round; the same again changes nothing. */
  submitStage(message: StageMessage): Promise<void>;
  /** What follows from a closed stage for this agent. */
  stageResult(stage: StageRef): Promise<StageResult>;
  consistencyProof(first: number, second: number): Promise<readonly Uint8Array[]>;
  /** The newest signed head, not verified. */
  treeHead(): Promise<SignedTreeHead>;
  /** Takes no further calls; running ones end by themselves. */
  close(): void;
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
  /** What the features learned besides the job: compileFeatures takes it. None where absent. */
  readonly fit?: FeatureFit;
  readonly signal: AbortSignal;
  /** What the site lets it take; everything where absent. */
  readonly compute?: ComputeShare;
  /** Without it an interrupted training begins anew. */
  readonly checkpoints?: TrainingCheckpoints;
}

/** What a task may take of the machine. */
export interface ComputeShare {
  /** 1 to 100: share of its time in which the training thread computes. */
  readonly cpuPercent: number;
  /** Backends on which it may compute; every one where absent. */
  readonly backends?: readonly ('NativeGpu' | 'NativeCpu' | 'WebGpu' | 'Wasm' | 'Cpu')[];
}

/** Where one training (job, round, base model) keeps how far it has come, in the trainer's own form. */
export interface TrainingCheckpoints {
  /** The newest; undefined where there is none that can be read. Never rejects. */
  read(): Promise<Uint8Array | undefined>;
  /** Replaces the one before; durable when it resolves, unless the disk refuses. Never rejects. */
  write(checkpoint: Uint8Array): Promise<void>;
}

export interface TrainingEvents {
  /** 0 to 100. */
  progress(percent: number): void;
  /** An interrupted training goes on after so many epochs. */
  resumed?(epochs: number): void;
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
  /** Salted digest of the rows trained on (`hmac-sha256:` and 64 hex digits), under the versionKey of the dataset. */
  readonly dataVersion?: string;
  /** Sampling variances of `metrics`; where the job asks for intervals. */
  readonly variances?: Readonly<Record<string, number>>;
  /** Figures of the subgroups of the job in their order, 0 examples where the site has too few rows; where it has some. */
  readonly subgroups?: readonly GroupNumbers[];
}

export type EvaluationTask = Omit<TrainingTask, 'signal' | 'round' | 'checkpoints'>;

export interface EvaluationResult {
  /** Rows of the test split. */
  readonly examples: number;
  readonly loss: number;
  readonly metrics: Readonly<Record<string, number>>;
  readonly variances?: Readonly<Record<string, number>>;
  readonly subgroups?: readonly GroupNumbers[];
}

/** Reads what the features of a job learn from the training rows of this site. */
export interface RowStatistics {
  /** Rejects with DATASET_*, LIMIT_EXCEEDED, TRAINING_FAILED, or JOB_CANCELLED after `signal`. */
  collect(task: StatisticsTask): Promise<SiteStatistics>;
}

export type StatisticsTask = Pick<TrainingTask, 'spec' | 'dataset' | 'signal'>;

/** The terms of a dataset by the policy of the site. */
export type DatasetTerms = Pick<
  DatasetRule,
  'minimumRows' | 'minCount' | 'vocabularies' | 'deidentification'
>;

/** A dataset that agent.yaml declares, before the policy has spoken. */
export interface DeclaredDataset {
  readonly name: string;
  readonly declaration: DatasetDeclaration;
  /** Digest of the declaration, for logs. */
  readonly declarationDigest: Digest;
  /** Absolute path of a directory of the agent for rows that do not fit into memory; made where it is missing. */
  readonly scratchDir: string;
  /** Secret of the site, 32 bytes, under which data versions are made and keys are split. */
  readonly versionKey: Uint8Array;
}

/**
 * What a trainer needs to read the site's rows by itself: a declaration, not the rows. Fewer rows than minimumRows
 * reject with DATASET_TOO_SMALL.
 */
export interface DatasetHandle extends DeclaredDataset, DatasetTerms {}
