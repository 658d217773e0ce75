import { stageTranscriptDigest, TributaryError, type Digest } from '@tributary/proto';

import { gathersUpdates } from './aggregation-mode.js';
import type { AcceptedUpdate, MemberState, RoundState, StageState } from './round-state.js';

/** True until the round is committed or failed: it holds the turn of its job. */
export function isUnfinished(round: RoundState | undefined): round is RoundState {
  return round !== undefined && (round.phase === 'Open' || round.phase === 'Summing');
}

/** The stage that takes reports, or undefined where all are closed or the round has ended. */
export function openStage(round: RoundState): StageState | undefined {
  return round.phase === 'Open' ? round.stages[round.stage] : undefined;
}

/** Members that may report in the open stage: in the stage before, and neither declined, refused nor revoked. */
export function liveMembers(round: RoundState): readonly MemberState[] {
  const before = round.stages[round.stage - 1]?.participants;
  const members = [...round.cohort.values()];
  const admitted = before === undefined ? undefined : new Set(before);
  const eligible = admitted === undefined ? members : members.filter(({ site }) => admitted.has(site));
  return eligible.filter(({ fate }) => fate === 'Live');
}

/** Live members that have not reported in the open stage yet. */
function pendingMembers(round: RoundState): readonly MemberState[] {
  const stage = openStage(round);
  return stage === undefined ? [] : liveMembers(round).filter(({ site }) => !stage.reports.has(site));
}

/** What the open stage is ready for at a time. */
export type StageOutcome =
  /** Reports are awaited; nothing happens before `deadlineAt` unless a report or a refusal comes. */
  | { readonly kind: 'open'; readonly deadlineAt: number }
  | { readonly kind: 'close' }
  /** The minimum cannot be reached any more, or was not in time. */
  | { readonly kind: 'undersubscribed'; readonly detail: string };

/**
 * Judges the open stage at `now` (milliseconds). It closes when every live member has reported, when a stage of updates
 * has the wanted number, or at its deadline; it fails as soon as too few can report.
 */
export function stageOutcome(round: RoundState, stage: StageState, now: number): StageOutcome {
  const reported = stage.reports.size;
  const pending = pendingMembers(round).length;
  const { minimum } = stage;
  if (reported + pending < minimum) {
    return undersubscribed(
      stage,
      `${String(reported + pending)} of ${String(minimum)} sites can still report${lossesOf(round)}`,
    );
  }
  if (pending === 0 || reachedTarget(round, stage)) return { kind: 'close' };
  const deadlineAt = stage.deadlineAt ?? round.openedAt;
  if (now < deadlineAt) return { kind: 'open', deadlineAt };
  if (reported >= minimum) return { kind: 'close' };
  return undersubscribed(
    stage,
    `${String(reported)} of ${String(minimum)} sites reported before the deadline${lossesOf(round)}`,
  );
}

function reachedTarget(round: RoundState, stage: StageState): boolean {
  if (round.target === 0 || !gathersUpdates(stage.name)) return false;
  return stage.reports.size >= Math.max(round.target, stage.minimum);
}

/** Sites whose reasons a failure tells; the entries of the round hold all of them. */
const TOLD_LOSSES = 3;

/**
 * "; south: POLICY_REFUSED: spec.rounds ..." for members that are out, in the order of their names; those that have
 * no such dataset, and so tell least of why the others fail, come last.
 */
function lossesOf(round: RoundState): string {
  const out = [...round.cohort.values()].filter(({ fate }) => fate !== 'Live');
  const lost = [...out.filter(tells), ...out.filter((member) => !tells(member))];
  const told = lost.slice(0, TOLD_LOSSES).map(({ site, fate, code, detail }) => {
    const why = [code ?? fate, detail ?? ''].filter((words) => words !== '').join(': ');
    return `; ${site}: ${why.slice(0, 150).toWellFormed()}`;
  });
  const others = lost.length - told.length;
  return `${told.join('')}${others === 0 ? '' : `; ${String(others)} more`}`;
}

const tells = ({ code }: { readonly code?: string | undefined }): boolean => code !== 'DATASET_UNKNOWN';

function undersubscribed(stage: StageState, detail: string): StageOutcome {
  return { kind: 'undersubscribed', detail: `stage ${stage.name}: ${detail}` };
}

/** What `stage.closed` commits to: who reported what. */
export function stageTranscript(round: RoundState, stage: StageState): Digest {
  const reports = [...stage.reports].map(([site, digest]) => ({ site, digest }));
  return stageTranscriptDigest(round, stage.name, reports);
}

/** Updates that make up the sum: those of the participants of the stage that gathered them, in order of acceptance. */
export function summedUpdates(round: RoundState): readonly AcceptedUpdate[] {
  const participants = round.stages.find(({ name }) => gathersUpdates(name))?.participants;
  if (participants === undefined)
    throw new TributaryError('INTERNAL', 'the updates of this round are not complete');
  const admitted = new Set(participants);
  return [...round.updates.values()].filter(({ site }) => admitted.has(site));
}

/** Sites of the newest stage of a round by what became of them. The four numbers describe one attempt. */
export function countSites(round: RoundState): {
  selected: number;
  reporting: number;
  dropped: number;
  rejected: number;
} {
  const fates = [...round.cohort.values()].map(({ fate }) => fate);
  const rejected = fates.filter((fate) => fate === 'Refused').length;
  const selected = round.cohort.size;
  const stage = round.stages[Math.min(round.stage, round.stages.length - 1)];
  const reporting = stage?.reports.size ?? 0;
  const open = round.phase === 'Open' ? pendingMembers(round).length : 0;
  return { selected, reporting, dropped: Math.max(0, selected - reporting - rejected - open), rejected };
}
