import { isErrorCode, type Digest, type EntryOf, type ErrorCode } from '@tributary/proto';

import type { MemberState, RoundState, StageState } from './round-state.js';

/** Entries that concern one attempt of a round. */
export type RoundEntry = EntryOf<
  | 'round.opened'
  | 'site.declined'
  | 'site.waits'
  | 'stage.message'
  | 'stage.closed'
  | 'update.accepted'
  | 'update.refused'
  | 'round.committed'
  | 'round.failed'
>;

/** The attempt that `round.opened` begins. `target` is the cohort size of the job, 0 for every member. */
export function openRound(entry: EntryOf<'round.opened'>, target: number): RoundState {
  const { cohort, stages, jobId, round, attempt, mode, baseDigest, layoutDigest, vectorLength, roundKey } =
    entry.body;
  const { kind, statisticsDigest, secure, selectionSeed } = entry.body;
  const openedAt = Date.parse(entry.time);
  const opened = {
    jobId,
    round,
    attempt,
    ...(kind === undefined ? {} : { kind }),
    mode,
    phase: 'Open' as const,
    openedSeq: entry.seq,
    openedAt,
    stages: stages.map((stage): StageState => ({ ...stage, reports: new Map() })),
    stage: 0,
    target,
    cohort: new Map(cohort.map(({ site, agentId }) => [site, { site, agentId, fate: 'Live' as const }])),
    baseDigest,
    layoutDigest,
    ...(statisticsDigest === undefined ? {} : { statisticsDigest }),
    vectorLength,
    ...(secure === undefined ? {} : { secure }),
    ...(selectionSeed === undefined ? {} : { selectionSeed }),
    roundKey,
    updates: new Map(),
  };
  return armStage(opened, openedAt);
}

/** The attempt after an entry about it. An entry about another attempt changes nothing. */
export function evolveRound(
  round: RoundState,
  entry: Exclude<RoundEntry, EntryOf<'round.opened'>>,
): RoundState {
  const { jobId, round: number, attempt } = entry.body;
  if (jobId !== round.jobId || number !== round.round || attempt !== round.attempt) return round;
  switch (entry.type) {
    case 'site.declined': {
      const { site, code, detail } = entry.body;
      return withMember(round, site, { fate: 'Declined', code, detail, seq: entry.seq });
    }
    case 'site.waits': {
      const { site, detail } = entry.body;
      return withMember(round, site, { fate: 'Declined', code: 'SITE_NOT_READY', detail, seq: entry.seq });
    }
    case 'update.refused': {
      const { site, code, detail, uploadId } = entry.body;
      return withMember(round, site, { fate: 'Refused', code, detail, uploadId, seq: entry.seq });
    }
    case 'stage.message':
      return withReport(round, entry.body.stage, entry.body.site, entry.body.digest);
    case 'update.accepted':
      return acceptUpdate(round, entry);
    case 'stage.closed':
      return closeStage(round, entry);
    case 'round.committed': {
      const end = { closedSeq: entry.seq, closedAt: Date.parse(entry.time) };
      return { ...round, ...end, phase: 'Committed', modelDigest: entry.body.modelDigest };
    }
    case 'round.failed': {
      const { code, detail } = entry.body;
      const end = { closedSeq: entry.seq, closedAt: Date.parse(entry.time) };
      return { ...round, ...end, phase: 'Failed', code: knownCode(code), detail };
    }
  }
}

/** The attempt after the agent of one of its members was revoked: what was accepted stays accepted. */
export function revokeMember(round: RoundState, agentId: string): RoundState {
  const member = [...round.cohort.values()].find((candidate) => candidate.agentId === agentId);
  return member?.fate === 'Live' ? withMember(round, member.site, { fate: 'Revoked' }) : round;
}

/** A code that a later version recorded reads as INTERNAL. */
export function knownCode(code: string): ErrorCode {
  return isErrorCode(code) ? code : 'INTERNAL';
}

function acceptUpdate(round: RoundState, entry: EntryOf<'update.accepted'>): RoundState {
  const { site, agentId, uploadId, headerDigest, sealDigest, bytes } = entry.body;
  const update = { site, agentId, uploadId, headerDigest, sealDigest, bytes: Number(bytes), seq: entry.seq };
  const stage = round.stages[round.stage];
  const reported = stage === undefined ? round : withReport(round, stage.name, site, sealDigest);
  return { ...reported, updates: new Map(round.updates).set(site, update) };
}

function closeStage(round: RoundState, entry: EntryOf<'stage.closed'>): RoundState {
  const { stage, participants, transcriptDigest } = entry.body;
  const stages = round.stages.map((one) =>
    one.name === stage ? { ...one, participants, transcriptDigest, closedSeq: entry.seq } : one,
  );
  const next = round.stage + 1;
  if (next >= stages.length) return { ...round, stages, stage: next, phase: 'Summing' };
  return armStage({ ...round, stages, stage: next }, Date.parse(entry.time));
}

/** Sets the deadline of the stage that opens at `at`: an absolute time, so that a restart does not prolong it. */
function armStage(round: RoundState, at: number): RoundState {
  const stages = round.stages.map((stage, index) =>
    index === round.stage ? { ...stage, deadlineAt: at + stage.deadlineMs } : stage,
  );
  return { ...round, stages };
}

function withReport(round: RoundState, name: string, site: string, digest: Digest): RoundState {
  const stages = round.stages.map((stage) =>
    stage.name === name ? { ...stage, reports: new Map(stage.reports).set(site, digest) } : stage,
  );
  return { ...round, stages };
}

function withMember(round: RoundState, site: string, change: Partial<MemberState>): RoundState {
  const member = round.cohort.get(site);
  if (member === undefined) return round;
  return { ...round, cohort: new Map(round.cohort).set(site, { ...member, ...change }) };
}
