import {
  canonicalText,
  isErrorCode,
  LIMITS,
  TributaryError,
  type ErrorCode,
  type NewEntry,
} from '@tributary/proto';

import type {
  AcceptUpdate,
  CloseStage,
  CommitRound,
  DeclineRound,
  FailRound,
  OpenRound,
  RefuseUpdate,
  RoundCommand,
  StageMessage,
} from '../command.js';
import { waitRound } from '../site-readiness.js';
import { gathersUpdates } from './aggregation-mode.js';
import { isUnfinished, openStage, stageOutcome, stageTranscript, summedUpdates } from './round-progress.js';
import type { RoundCulprit } from './culprits.js';
import type { MemberState, RoundState, StageState } from './round-state.js';

/** Commands about an attempt that exists already. */
export type AttemptCommand = Exclude<RoundCommand, OpenRound>;

/**
 * What a command means for an attempt of a round: entries, none where it was carried out before. Refusals are codes that
 * an agent may be told (UPDATE_*, NOT_IN_COHORT, AGENT_REVOKED), or CONFLICT where the runner is out of step.
 */
export function decideAttempt(round: RoundState, command: AttemptCommand): readonly NewEntry[] {
  switch (command.kind) {
    case 'decline-round':
      return decline(round, command);
    case 'wait-round':
      return waitRound(round, requireMember(round, command.agentId), command);
    case 'stage-message':
      return acceptMessage(round, command);
    case 'accept-update':
      return acceptUpdate(round, command);
    case 'refuse-update':
      return refuseUpdate(round, command);
    case 'close-stage':
      return closeStage(round, command);
    case 'commit-round':
      return commit(round, command);
    case 'fail-round':
      return isUnfinished(round) ? failRound(round, command) : [];
  }
}

/** The entry that ends an attempt without a result. */
export function failRound(
  { jobId, round, attempt }: RoundState,
  { actor, code, detail, culprits }: Pick<FailRound, 'actor' | 'code' | 'detail' | 'culprits'>,
): readonly NewEntry[] {
  const reason = { code: requireCode(code), detail: shortDetail(detail) };
  const body = { jobId, round, attempt, ...reason, ...named(culprits) };
  return [{ type: 'round.failed', actor, subject: `job/${jobId}`, body }];
}

const named = (culprits: readonly RoundCulprit[] = []): { culprits?: RoundCulprit[] } =>
  culprits.length === 0 ? {} : { culprits: [...culprits] };

/** Checks a code from outside; throws INVALID_ARGUMENT. */
export function requireCode(code: string): ErrorCode {
  if (isErrorCode(code)) return code;
  throw new TributaryError('INVALID_ARGUMENT', 'code: not a code of the error table', {
    fields: { field: 'code' },
  });
}

/** A detail cut to what an entry and `describe` hold. */
export function shortDetail(detail: string): string {
  return detail.toWellFormed().slice(0, LIMITS.detailLength).toWellFormed();
}

function decline(round: RoundState, command: DeclineRound): readonly NewEntry[] {
  const member = requireMember(round, command.agentId);
  const stage = openStage(round);
  const isLast = round.stage === round.stages.length - 1;
  // Who has reported for the last time can no longer decline; who is out already stays out for the first reason.
  if (stage === undefined || member.fate !== 'Live' || (isLast && stage.reports.has(member.site))) return [];
  const { actor, jobId, round: number, attempt } = command;
  const reason = { code: requireCode(command.code), detail: shortDetail(command.detail) };
  const body = { jobId, round: number, attempt, site: member.site, ...reason };
  return [{ type: 'site.declined', actor, subject: `job/${jobId}`, body }];
}

function acceptMessage(round: RoundState, command: StageMessage): readonly NewEntry[] {
  const { actor, jobId, round: number, attempt, stage: name, digest } = command;
  const member = requireMember(round, command.agentId);
  const stage = requireStage(round, name);
  if (gathersUpdates(name)) {
    throw new TributaryError('INVALID_ARGUMENT', `stage: ${name} takes updates`, {
      fields: { field: 'stage' },
    });
  }
  const known = stage.reports.get(member.site);
  if (known === digest) return [];
  if (known !== undefined) {
    throw new TributaryError(
      'UPDATE_DUPLICATE',
      `the site has sent another message for stage ${name} already`,
    );
  }
  requireOpen(round, stage, member);
  const body = { jobId, round: number, attempt, stage: name, site: member.site, digest };
  return [{ type: 'stage.message', actor, subject: `job/${jobId}`, body }];
}

function acceptUpdate(round: RoundState, command: AcceptUpdate): readonly NewEntry[] {
  const { actor, jobId, round: number, attempt, agentId, uploadId, headerDigest, sealDigest } = command;
  const member = requireMember(round, agentId);
  const known = round.updates.get(member.site);
  if (known?.uploadId === uploadId) {
    if (known.headerDigest === headerDigest && known.sealDigest === sealDigest) return [];
    throw new TributaryError(
      'UPLOAD_ID_REUSED',
      'the upload id was used with other content; a new plaintext needs a new id',
    );
  }
  if (known !== undefined) {
    throw new TributaryError('UPDATE_DUPLICATE', 'the site has already sent another update for this round');
  }
  const stage = round.stages.find(({ name }) => gathersUpdates(name));
  if (stage === undefined) throw new TributaryError('INTERNAL', 'a mode without updates');
  requireOpen(round, stage, member);
  const ids = { jobId, round: number, attempt, site: member.site, agentId, uploadId };
  const { dataVersion } = command;
  const version = dataVersion === undefined ? {} : { dataVersion };
  const body = { ...ids, headerDigest, sealDigest, bytes: String(command.bytes), ...version };
  return [{ type: 'update.accepted', actor, subject: `job/${jobId}`, body }];
}

/** One refusal at most is recorded for a site and attempt, so that a faulty agent cannot fill the ledger. */
function refuseUpdate(round: RoundState, command: RefuseUpdate): readonly NewEntry[] {
  const member = requireMember(round, command.agentId);
  const stage = openStage(round);
  if (stage === undefined || member.fate !== 'Live' || round.updates.has(member.site)) return [];
  const { actor, jobId, round: number, attempt, agentId, uploadId } = command;
  const reason = { code: requireCode(command.code), detail: shortDetail(command.detail) };
  const body = { jobId, round: number, attempt, site: member.site, agentId, uploadId, ...reason };
  return [{ type: 'update.refused', actor, subject: `job/${jobId}`, body }];
}

function closeStage(round: RoundState, command: CloseStage): readonly NewEntry[] {
  const { actor, jobId, round: number, attempt, stage: name, now } = command;
  if (round.stages.find((one) => one.name === name)?.participants !== undefined) return [];
  const stage = openStage(round);
  if (stage?.name !== name) throw conflict(`stage ${name} is not open`);
  const outcome = stageOutcome(round, stage, now);
  if (outcome.kind === 'undersubscribed') throw new TributaryError('ROUND_UNDERSUBSCRIBED', outcome.detail);
  if (outcome.kind === 'open') throw conflict(`stage ${name} still awaits reports`);
  const participants = [...stage.reports.keys()].sort();
  const transcriptDigest = stageTranscript(round, stage);
  const body = { jobId, round: number, attempt, stage: name, participants, transcriptDigest };
  return [{ type: 'stage.closed', actor, subject: `job/${jobId}`, body }];
}

function commit(round: RoundState, command: CommitRound): readonly NewEntry[] {
  const { actor, jobId, round: number, attempt, modelDigest, metrics, evaluation, culprits } = command;
  if (round.phase === 'Committed' && round.modelDigest === modelDigest) return [];
  if (round.phase !== 'Summing') throw conflict('the round is not complete, or has ended');
  if (round.kind === 'Evaluation' && modelDigest !== round.baseDigest)
    throw conflict('a round of evaluation changes no model');
  const updates = summedUpdates(round);
  const expected = updates.map(({ uploadId }) => uploadId).sort();
  const folded = [...command.folded].sort();
  if (canonicalText(folded) !== canonicalText(expected))
    throw conflict('the sum does not hold exactly the accepted updates');
  const reporting = updates.map(({ site }) => site).sort();
  const reported = new Set(reporting);
  const dropped = [...round.cohort.keys()].filter((site) => !reported.has(site)).sort();
  const body = {
    jobId,
    round: number,
    attempt,
    modelDigest,
    folded,
    reporting,
    dropped,
    metrics: { ...metrics },
    ...(evaluation === undefined ? {} : { evaluation: [...evaluation] }),
    ...named(culprits),
  };
  return [{ type: 'round.committed', actor, subject: `job/${jobId}`, body }];
}

/** The cohort's member with that agent; throws NOT_IN_COHORT. */
export function requireMember(round: RoundState, agentId: string): MemberState {
  for (const member of round.cohort.values()) if (member.agentId === agentId) return member;
  throw new TributaryError('NOT_IN_COHORT', 'the site is not in the cohort of this round');
}

function requireStage(round: RoundState, name: string): StageState {
  const stage = round.stages.find((one) => one.name === name);
  if (stage !== undefined) return stage;
  throw new TributaryError('INVALID_ARGUMENT', 'stage: the round has no stage of that name', {
    fields: { field: 'stage' },
  });
}

/** Whether `member` may still report in `stage`; throws what its agent is told otherwise. */
export function requireOpen(round: RoundState, stage: StageState, member: MemberState): void {
  if (member.fate === 'Revoked') throw new TributaryError('AGENT_REVOKED', 'the agent was revoked');
  if (member.fate === 'Refused') {
    throw new TributaryError(
      'UPDATE_DUPLICATE',
      'an update of the site was refused in this round already; wait for the next one',
    );
  }
  if (member.fate === 'Declined')
    throw new TributaryError('NOT_IN_COHORT', 'the site has declined this round');
  const open = openStage(round);
  if (open === undefined && round.phase !== 'Summing') {
    throw new TributaryError('UPDATE_WRONG_ROUND', 'the round has ended');
  }
  if (stage.participants !== undefined)
    throw new TributaryError('UPDATE_LATE', `stage ${stage.name} is closed`);
  if (open !== stage) throw new TributaryError('UPDATE_WRONG_ROUND', `stage ${stage.name} is not open yet`);
  const before = round.stages[round.stage - 1]?.participants;
  if (before !== undefined && !before.includes(member.site)) {
    throw new TributaryError('NOT_IN_COHORT', 'the site was not in the stage before');
  }
}

function conflict(message: string): TributaryError {
  return new TributaryError('CONFLICT', message);
}
