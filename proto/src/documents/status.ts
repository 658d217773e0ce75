import { z } from 'zod';

import { IDENTITY_KINDS } from '../enrolment/identity-kind.js';
import { LIMITS } from '../limits.js';
import { nameSchema } from './metadata.js';

/** RFC 3339 in UTC. */
const time = z.string().max(32).meta({ format: 'date-time' });
/** A real number as its shortest decimal string; Kubernetes stores no floating-point numbers. */
const decimal = z.string().max(32);
const count = z.int().min(0);
const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/);

/** Reasons of each condition of a FederatedJob: a closed set. */
export const JOB_CONDITION_REASONS = {
  Accepted: ['DocumentValid'],
  Running: [
    'RoundOpen',
    'Evaluating',
    'WaitingForSites',
    'WaitingForApproval',
    'WaitingForSchedule',
    'WaitingForTurn',
    'Suspended',
    'Finished',
  ],
  Suspended: ['SuspendedByOperator', 'NotSuspended'],
  Complete: ['AllRoundsCommitted', 'ModelNotMeasured', 'NotFinished', 'Failed'],
  Failed: ['DeadlineExceeded', 'Cancelled', 'RetriesExhausted', 'InternalError', 'NotFinished', 'Complete'],
} as const;

/** Reasons of each condition of a Site. Ready rolls up the others. */
export const SITE_CONDITION_REASONS = {
  Ready: ['AllConditionsMet', 'NotEnrolled', 'NotApproved', 'NotConnected', 'Revoked'],
  Enrolled: ['Joined', 'TokenOutstanding', 'TokenExpired', 'Revoked'],
  Approved: ['ApprovedByOperator', 'ApprovedByToken', 'WaitingForApproval', 'Revoked'],
  Connected: ['StreamOpen', 'NoStream', 'HeartbeatMissed'],
} as const;

/** Reasons of the one condition of a ModelRollout. */
export const ROLLOUT_CONDITION_REASONS = {
  Ready: ['AllSitesServe', 'WaitingForSites', 'RefusedBySites', 'NoSites', 'Undone'],
} as const;

export type JobConditionType = keyof typeof JOB_CONDITION_REASONS;
export type SiteConditionType = keyof typeof SITE_CONDITION_REASONS;

/** metav1.Condition of Kubernetes; a list of them is keyed by `type`. */
function conditionsOf<T extends string, R extends string>(
  types: readonly [T, ...T[]],
  reasons: readonly [R, ...R[]],
) {
  const condition = z.strictObject({
    type: z.enum(types),
    status: z.enum(['True', 'False', 'Unknown']),
    observedGeneration: count,
    lastTransitionTime: time,
    reason: z.enum(reasons),
    message: z.string().max(512),
  });
  return z.array(condition).max(types.length);
}

const JOB_PHASES = ['Queued', 'Running', 'Suspended', 'Complete', 'Failed'] as const;
const SITE_PHASES = ['Invited', 'Pending', 'Ready', 'Offline', 'Revoked'] as const;

/** The distinct reasons of a table, as z.enum takes them. */
function reasonsOf<R extends string>(table: Readonly<Record<string, readonly R[]>>): readonly [R, ...R[]] {
  const [first, ...others] = [...new Set(Object.values(table).flat())];
  if (first === undefined) throw new RangeError('a table without reasons');
  return [first, ...others];
}

export const modelReferenceSchema = z.strictObject({ name: nameSchema, version: z.int().min(1), digest });

const figureSchema = z.strictObject({
  name: z.string().max(63),
  value: decimal,
  standardError: decimal.optional().describe('Of the mean over sites; where the job asks for intervals.'),
});

export const jobStatusSchema = z.strictObject({
  observedGeneration: count.describe('Generation of the spec that this status describes.'),
  jobId: z.string().max(64).describe('Id in the ledger; a job deleted and applied again has another.'),
  phase: z.enum(JOB_PHASES).describe('Where the job stands.'),
  conditions: conditionsOf(
    ['Accepted', 'Running', 'Suspended', 'Complete', 'Failed'],
    reasonsOf(JOB_CONDITION_REASONS),
  ).describe('One condition per type.'),
  currentRound: count.describe('Rounds of training committed so far.'),
  rounds: count.describe('Rounds that the job asks for.'),
  sites: z
    .strictObject({ selected: count, reporting: count, dropped: count, rejected: count })
    .describe('Sites of the newest round.'),
  privacy: z
    .strictObject({ spentEpsilon: decimal })
    .optional()
    .describe('Privacy spent; absent without differential privacy.'),
  metrics: z
    .array(figureSchema)
    .max(64)
    .describe(
      'Training loss of the newest committed round and metrics, means over sites: of the model that the round began with, and in the end of the registered one.',
    ),
  evaluation: z
    .array(
      z.strictObject({
        type: z.enum(['All', 'HeldOut', 'Subgroup', 'Site']).describe('Whose test rows.'),
        site: nameSchema.optional(),
        column: z.string().max(128).optional(),
        value: z.string().max(128).optional(),
        metrics: z.array(figureSchema).max(64),
      }),
    )
    .max(LIMITS.evaluationGroups)
    .optional()
    .describe('These metrics by group; where the job asks for intervals or groups.'),
  modelRef: modelReferenceSchema.optional().describe('The version that a complete job registered.'),
  progressPercentage: z
    .int()
    .min(0)
    .max(100)
    .describe('Committed rounds of training in percent; 100 only when the model was measured too.'),
  startTime: time.optional(),
  completionTime: time.optional(),
  lastFailureInfo: z
    .strictObject({ code: z.string().max(63), detail: z.string().max(512), round: count, time })
    .optional()
    .describe('Why the newest failed round, or the job, failed.'),
});

export type JobStatus = z.output<typeof jobStatusSchema>;
export type JobPhase = JobStatus['phase'];
export type JobCondition = JobStatus['conditions'][number];
export type ModelReference = z.output<typeof modelReferenceSchema>;

const identityCountsSchema = z.strictObject({
  joined: count.describe('Not revoked, approved or not.'),
  ready: count.describe('Approved and connected.'),
});

const IDENTITY_PHASES = ['Pending', 'Ready', 'Offline'] as const;

const siteIdentitySchema = z.strictObject({
  agentId: z.string().max(64),
  kind: z.enum(IDENTITY_KINDS),
  phase: z.enum(IDENTITY_PHASES).describe('Pending (joined, not approved), Ready or Offline.'),
  agentVersion: z.string().max(64).optional(),
  lastSeenTime: time.optional(),
  certificateExpiryTime: time,
});

export type SiteIdentity = z.output<typeof siteIdentitySchema>;

export const siteStatusSchema = z.strictObject({
  observedGeneration: count,
  phase: z.enum(SITE_PHASES).describe('Invited, Pending (joined, not approved), Ready, Offline or Revoked.'),
  conditions: conditionsOf(['Ready', 'Enrolled', 'Approved', 'Connected'], reasonsOf(SITE_CONDITION_REASONS)),
  agentId: z.string().max(64).optional(),
  agentVersion: z.string().max(64).optional(),
  lastSeenTime: time.optional(),
  certificateExpiryTime: time.optional(),
  gpus: count.optional(),
  trainers: identityCountsSchema.describe('The agent that trains: 0 or 1.'),
  replicas: identityCountsSchema.describe('Processes that only serve.'),
  identities: z
    .array(siteIdentitySchema)
    .max(LIMITS.replicasPerSite + 1)
    .describe('Whoever has joined for the site and is not revoked; the agent that trains first.'),
});

export type SiteStatus = z.output<typeof siteStatusSchema>;
export type SitePhase = SiteStatus['phase'];
export type SiteCondition = SiteStatus['conditions'][number];

const modelVersionSchema = z.strictObject({
  version: z.int().min(1),
  jobName: nameSchema,
  jobId: z.string().max(64),
  manifestDigest: digest,
  weightsDigest: digest,
  time,
});

export const modelStatusSchema = z.strictObject({
  latestVersion: count,
  versions: z.array(modelVersionSchema).max(10_000).describe('Registered versions, oldest first.'),
});

export type ModelStatus = z.output<typeof modelStatusSchema>;
export type ModelVersionStatus = z.output<typeof modelVersionSchema>;

const ROLLOUT_PHASES = ['Progressing', 'Complete', 'Undone'] as const;

export const rolloutStatusSchema = z.strictObject({
  observedGeneration: count,
  rolloutId: z.string().max(64).describe('Id in the ledger of the newest rollout; undo names it.'),
  phase: z.enum(ROLLOUT_PHASES).describe('Complete once every selected site serves the version.'),
  conditions: conditionsOf(['Ready'], reasonsOf(ROLLOUT_CONDITION_REASONS)),
  stable: modelReferenceSchema
    .optional()
    .describe('The version that selected sites serve; absent once undone.'),
  canary: modelReferenceSchema.optional().describe('A version that a share of the streams tries.'),
  weight: z.int().min(0).max(100).describe('Percentage that the newest version answers.'),
  sites: z
    .strictObject({
      selected: count.describe('Joined and approved sites that the selector selects.'),
      serving: count.describe(
        'Sites among them of which everybody who is connected serves the version, one at least.',
      ),
      refused: count.describe('Sites among them of which somebody refused it.'),
    })
    .describe('By what connected agents and replicas report.'),
  replicas: z
    .strictObject({
      selected: count.describe('Approved replicas of these sites.'),
      serving: count.describe('Connected ones among them that serve the version.'),
    })
    .describe('Processes of these sites that only serve.'),
  refusals: z
    .array(z.strictObject({ site: nameSchema, code: z.string().max(63), detail: z.string().max(512) }))
    .max(64)
    .describe('Why sites do not serve it; the first 64.'),
});

export type RolloutStatus = z.output<typeof rolloutStatusSchema>;
