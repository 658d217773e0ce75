import {
  decodeBase64,
  fewestSites,
  LIMITS,
  requirePlan,
  ringLength,
  roundVectors,
  tailLength,
  TributaryError,
  vectorLength,
  type EntryBody,
  type NewEntry,
  type RoundKind,
  type SecureAggregationPlan,
  type UpdateShape,
} from '@tributary/proto';

import type { OpenRound } from '../command.js';
import type { FederationState, JobState } from '../federation-state.js';
import { requireJobId } from '../jobs.js';
import { cohortCount, isEnough, readyMembers, selectCohort, type Member } from '../selection.js';
import { absentSites } from '../site-readiness.js';
import { modeOf, planStages } from './aggregation-mode.js';
import { awaitsEvaluation, isTrained, nextAttempt, nextRound, roundBase } from './next-round.js';
import { isUnfinished } from './round-progress.js';

/** What opens an attempt. The same attempt again changes nothing, whatever was drawn for it. */
export function openRound(state: FederationState, command: OpenRound): readonly NewEntry[] {
  const { actor, jobId, round, attempt, roundKey, selectionSeed } = command;
  const job = requireJobId(state, jobId);
  if (job.round?.round === round && job.round.attempt === attempt) return [];
  const { kind, base } = requireTurn(job, command);
  const { spec } = job.document;
  decodeBase64(roundKey, 'roundKey', 32);
  const cohort = cohortOf(state, job, command);
  const { tail } = roundVectors(
    spec,
    cohort.map(({ site }) => site),
    kind,
  );
  const { statisticsDigest } = job;
  const body = {
    jobId,
    round,
    attempt,
    ...(kind === 'Training' ? {} : { kind }),
    ...stagesOf(job, cohort.length, { parameters: base.parameters, ...tail }),
    cohort: cohort.map(({ site, agentId }) => ({ site, agentId })),
    baseDigest: base.modelDigest,
    layoutDigest: base.layoutDigest,
    ...(statisticsDigest === undefined ? {} : { statisticsDigest }),
    roundKey,
    selectionSeed,
  };
  return [{ type: 'round.opened', actor, subject: `job/${jobId}`, body }];
}

/** The members that the command's public randomness selects. Throws ROUND_UNDERSUBSCRIBED. */
function cohortOf(
  state: FederationState,
  job: JobState,
  { connectedSites, now, selectionSeed }: OpenRound,
): readonly Member[] {
  const { spec } = job.document;
  const members = readyMembers(state, spec, new Set(connectedSites), absentSites(job, now));
  const seed = decodeBase64(selectionSeed, 'selectionSeed', 32);
  if (isEnough(spec, members)) return selectCohort(members, cohortCount(spec, members.length), seed);
  const needed = String(fewestSites(spec));
  throw new TributaryError(
    'ROUND_UNDERSUBSCRIBED',
    `${String(members.length)} selected sites are connected, ${needed} are needed`,
  );
}

/** How the round gathers its updates, and how long they are. Throws SECAGG_IMPOSSIBLE. */
function stagesOf(
  { document: { spec } }: JobState,
  agents: number,
  shape: UpdateShape,
): Pick<EntryBody<'round.opened'>, 'mode' | 'stages' | 'vectorLength' | 'secure'> {
  const mode = modeOf(spec);
  const deadlineMs = spec.roundDeadlineSeconds * 1_000;
  const { minSites, privacy } = spec;
  if (!privacy.secureAggregation) {
    const stages = planStages(mode, deadlineMs, minSites);
    return { mode: mode.name, stages, vectorLength: vectorLength(shape) };
  }
  const { secureAggregation: _, ...demand } = privacy;
  const plan = requirePlan({ ...demand, agents, minimum: minSites });
  return {
    mode: mode.name,
    stages: planStages(mode, deadlineMs, plan.survivors, plan.threshold),
    vectorLength: ringLength({ parameters: shape.parameters, tail: tailLength(shape) }),
    secure: recorded(plan),
  };
}

const recorded = ({
  threshold,
  colluders,
  survivors,
  topology,
}: SecureAggregationPlan): EntryBody<'round.opened'>['secure'] => ({
  threshold,
  colluders,
  survivors,
  ...(topology.type === 'KRegular' ? { neighbours: topology.neighbours } : {}),
});

/** Whether the job may open that attempt now; throws CONFLICT. */
function requireTurn(
  job: JobState,
  { round, attempt }: OpenRound,
): { readonly kind: RoundKind; readonly base: ReturnType<typeof roundBase> } {
  const { round: next, kind } = nextRound(job);
  const isNext = round === next && attempt === nextAttempt(job);
  const isDue =
    job.phase === 'Running' && !isUnfinished(job.round) && (!isTrained(job) || awaitsEvaluation(job));
  if (isNext && isDue && job.failedAttempts <= LIMITS.roundRetries && job.base !== undefined)
    return { kind, base: roundBase(job.base, job, kind) };
  throw new TributaryError(
    'CONFLICT',
    `round ${String(round)}, attempt ${String(attempt)} is not the next one of the job`,
  );
}
