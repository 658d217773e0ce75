import type { Digest, IdentityKind, RosterDocument } from '@tributary/proto';

import type { GroupReport, Role } from './federation-state.js';
import type { RoundCulprit } from './rounds/culprits.js';

/**
 * What may be asked of the federation. A command brings everything that a decision may not draw itself: the time, ids,
 * public randomness and public keys. Signatures and certificates were verified by whoever made the command.
 */
interface Asked {
  /** Milliseconds since the epoch; becomes the time of the entries. */
  readonly now: number;
  /** Pseudonym of who asks: "context/<name>", "agent/<id>" or "coordinator". */
  readonly actor: string;
}

export interface CreateFederation extends Asked {
  readonly kind: 'create-federation';
  readonly federationId: string;
  readonly name: string;
  readonly logKey: string;
  readonly modelKey: string;
  readonly caDigest: Digest;
}

export interface CreateContext extends Asked {
  readonly kind: 'create-context';
  readonly context: string;
  readonly role: Role;
  readonly keyDigest: Digest;
}

export interface RevokeContext extends Asked {
  readonly kind: 'revoke-context';
  readonly context: string;
}

/** A roster that its root signed. */
export interface PublishRoster extends Asked {
  readonly kind: 'publish-roster';
  readonly roster: RosterDocument;
  /** Canonical JSON of roster and signatures. */
  readonly document: string;
  /** Of the roster without its signatures. */
  readonly digest: Digest;
  /** Of the root. */
  readonly root: Digest;
  /** Keys of the root that signed. */
  readonly signatures: number;
  /** Where this root takes the place of another: the digest of that one, and what it signed. */
  readonly rotation?: { readonly previous: Digest; readonly document: string };
}

export interface CreateToken extends Asked {
  readonly kind: 'create-token';
  readonly tokenId: string;
  readonly site: string;
  /** Training where absent. */
  readonly identity?: IdentityKind;
  readonly labels: Readonly<Record<string, string>>;
  /** Standard base64 of the token's public key. */
  readonly key: string;
  /** 0: LIMITS.joinTokenDefaultTtlMs. */
  readonly ttlMs: number;
  readonly approve: boolean;
}

export interface EnrolAgent extends Asked {
  readonly kind: 'enrol-agent';
  readonly tokenId: string;
  /** Standard base64 of the identity key, whose signature and the token's were verified. */
  readonly identityKey: string;
  /** SPKI digest of the TLS key of the request. */
  readonly keyDigest: Digest;
  /** Drawn for the case that the agent is new. */
  readonly agentId: string;
}

export interface RenewAgent extends Asked {
  readonly kind: 'renew-agent';
  readonly agentId: string;
  readonly keyDigest: Digest;
}

/** A process of the agent connects. */
export interface StartAgent extends Asked {
  readonly kind: 'start-agent';
  readonly agentId: string;
  readonly sessionEpoch: bigint;
}

/** Approves everybody of the site who waits for it. */
export interface ApproveSite extends Asked {
  readonly kind: 'approve-site';
  readonly site: string;
}

export interface RevokeSite extends Asked {
  readonly kind: 'revoke-site';
  readonly site: string;
  /** This identity only; all of the site where absent. */
  readonly agentId?: string;
  readonly reason: string;
}

/** Apply: creates the job, changes what may change, or finds that nothing changed. */
export interface SubmitJob extends Asked {
  readonly kind: 'submit-job';
  /** Drawn for the case that the job is new. */
  readonly jobId: string;
  /** Canonical JSON of the document {apiVersion, kind, metadata, spec}. */
  readonly document: string;
  /** Standard base64. */
  readonly authorKey: string;
  readonly signature: string;
}

export interface ConfigureJob extends Asked {
  readonly kind: 'configure-job';
  readonly name: string;
  readonly activeDeadlineSeconds?: number;
  readonly ttlSecondsAfterFinished?: number;
}

export interface SuspendJob extends Asked {
  readonly kind: 'suspend-job';
  readonly name: string;
  readonly reason: string;
}

export interface ResumeJob extends Asked {
  readonly kind: 'resume-job';
  readonly name: string;
}

export interface CancelJob extends Asked {
  readonly kind: 'cancel-job';
  readonly name: string;
  readonly reason: string;
}

export interface DeleteJob extends Asked {
  readonly kind: 'delete-job';
  readonly name: string;
}

/** A site approves a job, or rejects it. Both signatures were verified. */
export interface DecideJob extends Asked {
  readonly kind: 'decide-job';
  readonly jobId: string;
  readonly agentId: string;
  readonly decision: 'Approved' | 'Rejected';
  readonly jobDigest: Digest;
  readonly approverName: string;
  /** Standard base64, as the others. */
  readonly approverKey: string;
  readonly decidedAt: string;
  readonly signature: string;
  readonly siteSignature: string;
}

/** Gives the job its turn. After a resume the model is the one it had. */
export interface StartJob extends Asked {
  readonly kind: 'start-job';
  readonly jobId: string;
  readonly layoutDigest: Digest;
  readonly modelDigest: Digest;
  readonly parameters: number;
}

interface OfRound extends Asked {
  readonly jobId: string;
  readonly round: number;
  readonly attempt: number;
}

export interface OpenRound extends OfRound {
  readonly kind: 'open-round';
  /** Sites that hold a connection now: the cohort is selected among them. */
  readonly connectedSites: readonly string[];
  /** Standard base64 of 32 public random bytes, from which the cohort follows. */
  readonly selectionSeed: string;
  /** Standard base64 of the Curve25519 public key, whose secret half is durable already. */
  readonly roundKey: string;
}

/** An agent refused the order, or failed to train: its site is out of this attempt. */
export interface DeclineRound extends OfRound {
  readonly kind: 'decline-round';
  readonly agentId: string;
  readonly code: string;
  /** Redacted; cut to LIMITS.detailLength. */
  readonly detail: string;
}

/** An agent is not ready for the job yet: its site is out of this attempt, and of others until it is. */
export interface WaitRound extends OfRound {
  readonly kind: 'wait-round';
  readonly agentId: string;
  readonly reason: 'Approval' | 'Schedule';
  /** Redacted; cut to LIMITS.detailLength. */
  readonly detail: string;
  /** Milliseconds after which the site may be ready, where it waits for its schedule. */
  readonly waitMs: number;
}

/** A site's message of a stage that gathers no updates; its payload is durable already. */
export interface StageMessage extends OfRound {
  readonly kind: 'stage-message';
  readonly agentId: string;
  readonly stage: string;
  readonly digest: Digest;
}

/** The spool is durable and every value checked. */
export interface AcceptUpdate extends OfRound {
  readonly kind: 'accept-update';
  readonly agentId: string;
  readonly uploadId: string;
  readonly headerDigest: Digest;
  readonly sealDigest: Digest;
  /** Bytes of ciphertext. */
  readonly bytes: number;
  /** As the header has it. */
  readonly dataVersion?: string;
}

/** The update of the site is final and cannot be used: its site is out of this attempt. */
export interface RefuseUpdate extends OfRound {
  readonly kind: 'refuse-update';
  readonly agentId: string;
  readonly uploadId: string;
  readonly code: string;
  readonly detail: string;
}

export interface CloseStage extends OfRound {
  readonly kind: 'close-stage';
  readonly stage: string;
}

export interface CommitRound extends OfRound {
  readonly kind: 'commit-round';
  readonly modelDigest: Digest;
  /** Upload ids in the sum: those of all participants. */
  readonly folded: readonly string[];
  /** Means as shortest decimal strings. */
  readonly metrics: Readonly<Record<string, string>>;
  /** Only of jobs that ask for more than the means. */
  readonly evaluation?: readonly GroupReport[];
  /** Of a secure round; none where absent. */
  readonly culprits?: readonly RoundCulprit[];
}

export interface FailRound extends OfRound {
  readonly kind: 'fail-round';
  readonly code: string;
  readonly detail: string;
  /** Of a secure round; none where absent. */
  readonly culprits?: readonly RoundCulprit[];
}

export interface RegisterModel extends Asked {
  readonly kind: 'register-model';
  readonly jobId: string;
  /** The next version of the model, which the signed manifest names. */
  readonly version: number;
  readonly manifestDigest: Digest;
  readonly weightsDigest: Digest;
  /** Standard base64. */
  readonly signature: string;
}

export interface CompleteJob extends Asked {
  readonly kind: 'complete-job';
  readonly jobId: string;
}

export interface FailJob extends Asked {
  readonly kind: 'fail-job';
  readonly jobId: string;
  readonly code: string;
  readonly detail: string;
}

/** Apply of a ModelRollout: begins a rollout, or finds that the model's newest one is the same. */
export interface ApplyRollout extends Asked {
  readonly kind: 'apply-rollout';
  /** Drawn for the case that the rollout is new. */
  readonly rolloutId: string;
  /** Canonical JSON of the document {apiVersion, kind, metadata, spec}. */
  readonly document: string;
  /** Standard base64. */
  readonly authorKey: string;
  readonly signature: string;
}

/** Takes a rollout back: the newest one of the model. */
export interface UndoRollout extends Asked {
  readonly kind: 'undo-rollout';
  readonly model: string;
  readonly rolloutId: string;
}

export interface RaiseAlarm extends Asked {
  readonly kind: 'raise-alarm';
  /** "token/<id>", "agent/<id>", "site/<name>" or "federation". */
  readonly subject: string;
  readonly code: string;
  readonly detail: string;
}

export type RoundCommand =
  | OpenRound
  | DeclineRound
  | WaitRound
  | StageMessage
  | AcceptUpdate
  | RefuseUpdate
  | CloseStage
  | CommitRound
  | FailRound;

export type JobCommand =
  | SubmitJob
  | ConfigureJob
  | SuspendJob
  | ResumeJob
  | CancelJob
  | DeleteJob
  | StartJob
  | CompleteJob
  | FailJob;

export type RolloutCommand = ApplyRollout | UndoRollout;

export type EnrolmentCommand = CreateToken | EnrolAgent | RenewAgent | StartAgent | ApproveSite | RevokeSite;

export type Command =
  | DecideJob
  | CreateFederation
  | CreateContext
  | RevokeContext
  | PublishRoster
  | EnrolmentCommand
  | JobCommand
  | RoundCommand
  | RolloutCommand
  | RegisterModel
  | RaiseAlarm;
