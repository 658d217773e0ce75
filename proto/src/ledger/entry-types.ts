import { z } from 'zod';

import { dataVersionSchema } from '../envelope/data-version.js';
import { isName } from '../ids.js';
import { digestSchema } from '../text-schemas.js';

/** Strings of entries: bounded, so that no entry can pass LIMITS.ledgerEntryBytes by a single field. */
const text = z.string().max(1_024);
const name = z.string().refine(isName, 'not a name');
const base64 = z
  .string()
  .max(1_024)
  .regex(/^[A-Za-z0-9+/]*={0,2}$/);
const uint = z.int().nonnegative();
/** 64-bit unsigned number as a decimal string. */
const uint64 = z.string().regex(/^(0|[1-9][0-9]{0,19})$/);
/** RFC 3339, UTC, milliseconds. */
const time = z.iso.datetime({ precision: 3 });
/** A real number as its shortest decimal string: entries hold no floating-point numbers. */
const real = z.string().regex(/^(-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?|NaN)$/);
const labels = z.record(z.string().max(63), z.string().max(63));

/** What an identity is for; absent for an agent that trains. */
const kind = z.literal('Serving').optional();

const round = { jobId: text, round: uint, attempt: uint };
const stage = z.strictObject({ name, deadlineMs: uint, minimum: uint });
const member = z.strictObject({ site: name, agentId: text });

/** Sites of a secure round that cannot be honest, and what shows it (CulpritReason); absent where there are none. */
const culprits = z
  .array(z.strictObject({ site: name, stage: name, reason: text }))
  .min(1)
  .optional();

/** A site's own decision about a job; see the `approval` transcript. */
const siteDecision = z.strictObject({
  jobId: text,
  site: name,
  agentId: text,
  jobDigest: digestSchema,
  /** Who decided, as the site calls them. */
  approverName: name,
  approverKey: base64,
  /** When, by the clock of the site. */
  decidedAt: time,
  /** By the approver's key. */
  signature: base64,
  /** By the identity key of the agent, over the same statement. */
  siteSignature: base64,
});

const figures = {
  metrics: z.record(z.string().max(63), real),
  standardErrors: z.record(z.string().max(63), real).optional(),
};
const groupReport = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('All'), ...figures }),
  z.strictObject({ type: z.literal('HeldOut'), site: name, ...figures }),
  z.strictObject({
    type: z.literal('Subgroup'),
    column: z.string().max(128),
    value: z.string().max(128),
    ...figures,
  }),
  z.strictObject({ type: z.literal('Site'), site: name, ...figures }),
]);

/**
 * The body of every type of ledger entry. The names are final: later versions add types and optional fields, and
 * raise `v` with an upcaster where a meaning changes.
 */
export const ENTRY_BODIES = {
  'federation.created': z.strictObject({
    federationId: text,
    name,
    logKey: base64,
    modelKey: base64,
    caDigest: digestSchema,
  }),
  /** The root of the federation hands over to another. Never without a roster of the new one: its keys exist. */
  'root.rotated': z.strictObject({
    previous: digestSchema,
    root: digestSchema,
    /** Canonical JSON of the signed hand-over. */
    document: z.string(),
  }),
  /** The members and authors of the federation from here on. */
  'roster.published': z.strictObject({
    federation: name,
    version: uint,
    /** Of what is signed. */
    digest: digestSchema,
    root: digestSchema,
    signatures: uint,
    members: uint,
    expires: time,
    /** Canonical JSON of the signed roster. */
    document: z.string(),
  }),
  'context.created': z.strictObject({
    context: name,
    role: z.enum(['admin', 'viewer']),
    keyDigest: digestSchema,
  }),
  'context.revoked': z.strictObject({ context: name }),

  'token.created': z.strictObject({
    tokenId: text,
    site: name,
    labels,
    key: base64,
    expiresAt: time,
    approve: z.boolean(),
    kind,
  }),
  'alarm.raised': z.strictObject({ code: text, detail: text }),
  'agent.enrolled': z.strictObject({
    agentId: text,
    site: name,
    tokenId: text,
    identityKey: base64,
    keyDigest: digestSchema,
    kind,
  }),
  'agent.renewed': z.strictObject({ agentId: text, site: name, keyDigest: digestSchema }),
  /** A process of the agent connected with a session epoch above all before it; older processes are fenced from here on. */
  'agent.started': z.strictObject({
    agentId: text,
    site: name,
    sessionEpoch: z.string().regex(/^(0|[1-9][0-9]{0,19})$/),
  }),
  'agent.approved': z.strictObject({ agentId: text, site: name }),
  'agent.revoked': z.strictObject({ agentId: text, site: name, reason: text }),

  'job.submitted': z.strictObject({
    jobId: text,
    name,
    /** Canonical JSON of the signed document: {apiVersion, kind, metadata, spec}. */
    document: z.string(),
    authorKey: base64,
    signature: base64,
  }),
  /** Of the fields that may change after apply: the new values. */
  'job.configured': z.strictObject({
    jobId: text,
    activeDeadlineSeconds: uint.optional(),
    ttlSecondsAfterFinished: uint.optional(),
  }),
  'job.suspended': z.strictObject({ jobId: text, reason: text }),
  'job.resumed': z.strictObject({ jobId: text }),
  'job.approved': siteDecision,
  'job.rejected': siteDecision,
  'job.started': z.strictObject({
    jobId: text,
    layoutDigest: digestSchema,
    modelDigest: digestSchema,
    parameters: uint,
  }),
  'job.completed': z.strictObject({ jobId: text, model: name, version: uint }),
  'job.failed': z.strictObject({ jobId: text, code: text, detail: text }),
  'job.deleted': z.strictObject({ jobId: text, name }),

  'round.opened': z.strictObject({
    ...round,
    /** Absent for rounds that train. The round of statistics is round 0; that of evaluation comes after the last one. */
    kind: z.enum(['Statistics', 'Evaluation']).optional(),
    mode: name,
    stages: z.array(stage).min(1),
    cohort: z.array(member),
    baseDigest: digestSchema,
    layoutDigest: digestSchema,
    /** The table that the round of statistics made, where the job had one: what features are scaled by. */
    statisticsDigest: digestSchema.optional(),
    /** Floats of one update vector: parameters and tail. */
    vectorLength: uint,
    /** Curve25519 public key to which content keys are sealed. */
    roundKey: base64,
    /** Of a round of secure aggregation: what was planned for its cohort. Shares recover secrets from `threshold` on. */
    secure: z
      .strictObject({
        threshold: uint,
        colluders: uint,
        /** Fewest updates in the sum. */
        survivors: uint,
        /** Neighbours of each site, where the graph is not complete. */
        neighbours: uint.optional(),
      })
      .optional(),
    /** Public randomness from which the cohort follows. */
    selectionSeed: base64.optional(),
  }),
  'site.declined': z.strictObject({ ...round, site: name, code: text, detail: text }),
  /** The site is out of this attempt, and of every other one until it has approved the job, or until a time. */
  'site.waits': z.strictObject({
    ...round,
    site: name,
    reason: z.enum(['Approval', 'Schedule']),
    detail: text,
    until: time.optional(),
  }),
  'stage.message': z.strictObject({ ...round, stage: name, site: name, digest: digestSchema }),
  'stage.closed': z.strictObject({
    ...round,
    stage: name,
    participants: z.array(name),
    transcriptDigest: digestSchema,
  }),
  'update.accepted': z.strictObject({
    ...round,
    site: name,
    agentId: text,
    uploadId: text,
    headerDigest: digestSchema,
    sealDigest: digestSchema,
    bytes: uint64,
    /** Salted digest of the rows that trained the update, where the agent gave it. */
    dataVersion: dataVersionSchema.optional(),
  }),
  'update.refused': z.strictObject({
    ...round,
    site: name,
    agentId: text,
    uploadId: text,
    code: text,
    detail: text,
  }),
  'round.committed': z.strictObject({
    ...round,
    modelDigest: digestSchema,
    /** Upload ids in the sum. */
    folded: z.array(text),
    reporting: z.array(name),
    dropped: z.array(name),
    /** Means over the sites, weighted: loss and the metrics of the job. */
    metrics: z.record(z.string().max(63), real),
    /** What the evaluation groups of the job say: means and standard errors by metric; not of every job. */
    evaluation: z.array(groupReport).min(1).optional(),
    culprits,
  }),
  'round.failed': z.strictObject({ ...round, code: text, detail: text, culprits }),
  'model.registered': z.strictObject({
    model: name,
    version: uint,
    jobId: text,
    manifestDigest: digestSchema,
    weightsDigest: digestSchema,
    signature: base64,
  }),

  /** Selected sites serve this version from here on. */
  'rollout.applied': z.strictObject({
    rolloutId: text,
    model: name,
    version: uint,
    /** The version before it, where the model had a rollout. */
    previous: uint.optional(),
    manifestDigest: digestSchema,
    /** Canonical JSON of the signed ModelRollout: {apiVersion, kind, metadata, spec}. */
    document: z.string(),
    authorKey: base64,
    signature: base64,
  }),
  /** A rollout is taken back: its sites follow the newest one before it that selects them, and without one serve none. */
  'rollout.undone': z.strictObject({
    rolloutId: text,
    model: name,
    /** The version to which the model goes back; absent where the rollout was its first. */
    version: uint.optional(),
    /** The version that is taken back. */
    previous: uint,
  }),
} as const;

export type EntryType = keyof typeof ENTRY_BODIES;
export type EntryBody<T extends EntryType> = z.infer<(typeof ENTRY_BODIES)[T]>;

export const ENTRY_TYPES = Object.freeze(Object.keys(ENTRY_BODIES)) as readonly EntryType[];
