import type {
  Digest,
  EntryBody,
  ErrorCode,
  FederatedJob,
  IdentityKind,
  JobPhase,
  ModelRollout,
  RosterMember,
  RoundKind,
} from '@tributary/proto';

import type { JobConditionState } from './job-conditions.js';
import type { SiteBlame } from './rounds/culprits.js';
import type { RoundState } from './rounds/round-state.js';
import type { JobDecision, SiteWait } from './site-readiness.js';

/** What operators may be: the table in authorisation.ts says what each may do. */
export const ROLES = ['admin', 'viewer'] as const;
export type Role = (typeof ROLES)[number];

/** Times in the state are milliseconds since the epoch, taken from the entries that set them. */
export interface FederationInfo {
  readonly federationId: string;
  readonly name: string;
  /** Standard base64 of the Ed25519 public keys for tree heads and for model manifests. */
  readonly logKey: string;
  readonly modelKey: string;
  readonly caDigest: Digest;
  readonly createdAt: number;
}

/** A named client certificate of the admin service. */
export interface ContextState {
  readonly name: string;
  readonly role: Role;
  /** SHA-256 of the SubjectPublicKeyInfo of the context's key. */
  readonly keyDigest: Digest;
  readonly revoked: boolean;
  readonly seq: number;
}

/** A join token. Its secret is a signing key that only the invited agent holds. */
export interface TokenState {
  readonly tokenId: string;
  readonly site: string;
  /** Of the identity that joins with it. */
  readonly kind: IdentityKind;
  readonly labels: Readonly<Record<string, string>>;
  /** Standard base64 of the token's Ed25519 public key. */
  readonly key: string;
  readonly expiresAt: number;
  /** Whether the site is approved at once when it joins with this token. */
  readonly approve: boolean;
  /** The agent that joined with it. */
  readonly usedBy?: string;
  /** Whether a use by another key was recorded; one alarm per token is enough. */
  readonly alarmed: boolean;
}

/** An identity of a site: the agent that trains, or a replica. */
export interface AgentState {
  readonly agentId: string;
  readonly site: string;
  readonly kind: IdentityKind;
  readonly tokenId: string;
  /** Standard base64 of the Ed25519 identity key. */
  readonly identityKey: string;
  /** SPKI digests of the certified TLS keys: the newest, then the one before it, which may still be in use. */
  readonly keyDigests: readonly Digest[];
  /** Decimal; the newest process of the agent that has connected. */
  readonly sessionEpoch?: string;
  readonly approvedAt?: number;
  readonly approvedBy?: string;
  readonly revokedAt?: number;
  readonly revocationReason?: string;
  readonly enrolledAt: number;
  /** When the newest certificate was issued. */
  readonly certifiedAt: number;
  /** Sequence of its `agent.enrolled`. */
  readonly seq: number;
}

/** A member of cohorts, budgets and ledger entries. It exists from its first invitation on. */
export interface SiteState {
  readonly site: string;
  readonly labels: Readonly<Record<string, string>>;
  /** The newest invitation of an agent that trains. */
  readonly tokenId: string;
  /** The agent that trains and joined last: active, or revoked and not yet replaced. */
  readonly agentId?: string;
  /** Agent ids of the replicas that are not revoked, oldest first. */
  readonly replicas: readonly string[];
  readonly createdAt: number;
  /** Counts changes of what the operator decides about the site, from 1. */
  readonly generation: number;
  /** When a condition last changed: invited, joined, approved or revoked. */
  readonly changedAt: number;
  readonly seq: number;
}

/** Fields of a job that may change after apply. */
export interface JobSettings {
  readonly suspend: boolean;
  readonly activeDeadlineSeconds: number;
  /** 0 keeps the finished job. */
  readonly ttlSecondsAfterFinished: number;
}

/** What a job goes on from; set by its first `job.started`. */
export interface JobBase {
  readonly layoutDigest: Digest;
  /** Float32 parameters of the model. */
  readonly parameters: number;
  /** The initial model. */
  readonly initialDigest: Digest;
  /** The newest committed model, or the initial one. */
  readonly modelDigest: Digest;
}

/** What stays of one finished attempt of a round; of constant size. */
export interface RoundSummary {
  readonly round: number;
  readonly attempt: number;
  /** Absent for training. */
  readonly kind?: Exclude<RoundKind, 'Training'>;
  readonly openedSeq: number;
  /** Sequence of its `round.committed` or `round.failed`. */
  readonly closedSeq: number;
  readonly openedAt: number;
  readonly closedAt: number;
  readonly selected: number;
  readonly reporting: number;
  readonly dropped: number;
  readonly rejected: number;
  /** Where committed. */
  readonly modelDigest?: Digest;
  /** Where failed. */
  readonly code?: ErrorCode;
}

/** What the sites together say about one evaluation group, as `round.committed` has it. */
export type GroupReport = NonNullable<EntryBody<'round.committed'>['evaluation']>[number];

export interface JobFailure {
  readonly code: ErrorCode;
  readonly detail: string;
  readonly round: number;
  readonly at: number;
}

export interface JobState {
  readonly jobId: string;
  readonly name: string;
  /** As it was applied; `settings` holds the current values of what may change. */
  readonly document: FederatedJob;
  /** Of the signed text; absent in snapshots of before. */
  readonly documentDigest?: Digest;
  readonly authorKey: string;
  readonly settings: JobSettings;
  /** Counts changes of the spec, from 1. */
  readonly generation: number;
  readonly phase: JobPhase;
  readonly conditions: readonly JobConditionState[];
  readonly submittedSeq: number;
  readonly submittedAt: number;
  /** Sequence of the newest `job.started`; absent before the first. */
  readonly startedSeq?: number;
  /** When the active time that activeDeadlineSeconds bounds began; a resumed job begins anew. */
  readonly activeSince?: number;
  readonly finishedAt?: number;
  /** Sequence of its `job.completed` or `job.failed`; absent in snapshots of before. */
  readonly finishedSeq?: number;
  readonly base?: JobBase;
  /** The table that the round of statistics made; absent before, and in jobs that need none. */
  readonly statisticsDigest?: Digest;
  /** Rounds of training committed; see nextRound for the number of the next one. */
  readonly committedRounds: number;
  /** Failed attempts of the next round. */
  readonly failedAttempts: number;
  /** The open round, or the newest finished one with its cohort, so that its sites can be told how it ended. */
  readonly round?: RoundState;
  /** Finished attempts, oldest first. */
  readonly history: readonly RoundSummary[];
  /** Sites that were ever in a cohort of the job, sorted: they may read what the ledger says about it. */
  readonly members: readonly string[];
  /** By site: those that are not ready for it yet. */
  readonly waiting?: ReadonlyMap<string, SiteWait>;
  /** By site: those that were caught in secure rounds of the job. */
  readonly blamed?: ReadonlyMap<string, SiteBlame>;
  /** By site: what it decided. */
  readonly decisions?: ReadonlyMap<string, JobDecision>;
  /** Sites whose updates are in the model, sorted. */
  readonly contributors: readonly string[];
  /**
   * Means over sites, as shortest decimal strings: the training loss of the newest round of training, and the metrics of
   * the newest committed round: of the model that it began with, or of the last one once that was measured.
   */
  readonly metrics: Readonly<Record<string, string>>;
  /** Evaluation groups of these metrics; only of jobs that ask for more than the means. */
  readonly evaluation?: readonly GroupReport[];
  /** The version that was registered for the job. */
  readonly model?: { readonly name: string; readonly version: number };
  readonly lastFailure?: JobFailure;
  /** Sequence of the last entry about the job. */
  readonly seq: number;
}

export interface ModelVersionState {
  readonly version: number;
  readonly jobId: string;
  readonly jobName: string;
  readonly manifestDigest: Digest;
  readonly weightsDigest: Digest;
  /** Standard base64 of the Ed25519 signature over the `model-manifest` transcript. */
  readonly signature: string;
  readonly createdAt: number;
  readonly seq: number;
}

export interface ModelState {
  readonly name: string;
  /** Oldest first; version 1 is the first. */
  readonly versions: readonly ModelVersionState[];
}

/** One rollout of a model: what `rollout.applied` began, and perhaps `rollout.undone` ended. */
export interface RolloutState {
  readonly rolloutId: string;
  readonly version: number;
  readonly manifestDigest: Digest;
  /** As it was applied. */
  readonly document: ModelRollout;
  readonly authorKey: string;
  /** Sequence of its `rollout.applied`. */
  readonly seq: number;
  readonly appliedAt: number;
  /** Sequence of its `rollout.undone`. */
  readonly undoneSeq?: number;
  readonly undoneAt?: number;
}

export interface ModelRolloutState {
  readonly model: string;
  /** Oldest first. */
  readonly rollouts: readonly RolloutState[];
  /** Sequence of the last entry about it. */
  readonly seq: number;
}

export interface AlarmState {
  readonly code: string;
  readonly detail: string;
  readonly subject: string;
  readonly at: number;
  readonly seq: number;
}

/** Who the members are by the newest roster. The root signed it: the coordinator can add nobody. */
export interface MembershipState {
  /** Of the root that signed. */
  readonly root: Digest;
  readonly version: number;
  readonly digest: Digest;
  /** By agent id. */
  readonly members: ReadonlyMap<string, RosterMember>;
  /** Sequences of `root.rotated`, oldest first. */
  readonly rotations: readonly number[];
  /** Sequence of `roster.published`. */
  readonly seq: number;
}

/** Everything that the coordinator knows: the fold of its ledger. */
export interface FederationState {
  /** Entries folded: the sequence of the next one. */
  readonly seq: number;
  /** Time of the last entry. */
  readonly at: number;
  readonly federation?: FederationInfo;
  /** Once a roster was published. */
  readonly membership?: MembershipState;
  /** By name. */
  readonly contexts: ReadonlyMap<string, ContextState>;
  /** By token id, oldest first. */
  readonly tokens: ReadonlyMap<string, TokenState>;
  /** By agent id. */
  readonly agents: ReadonlyMap<string, AgentState>;
  /** By site name. */
  readonly sites: ReadonlyMap<string, SiteState>;
  /** By job id, in the order of submission, which is the order of the queue. */
  readonly jobs: ReadonlyMap<string, JobState>;
  /** By model name. */
  readonly models: ReadonlyMap<string, ModelState>;
  /** By model name. */
  readonly rollouts: ReadonlyMap<string, ModelRolloutState>;
  /** The newest ones, oldest first. */
  readonly alarms: readonly AlarmState[];
}

export const EMPTY_FEDERATION: FederationState = Object.freeze({
  seq: 0,
  at: 0,
  contexts: new Map(),
  tokens: new Map(),
  agents: new Map(),
  sites: new Map(),
  jobs: new Map(),
  models: new Map(),
  rollouts: new Map(),
  alarms: [],
});
