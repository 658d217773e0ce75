import {
  requireName,
  TributaryError,
  WIRE_VERSIONS,
  type Digest,
  type EnvelopeHeader,
} from '@tributary/proto';

import type { AgentState, FederationState, JobState } from '../domain/federation-state.js';
import { gathersUpdates } from '../domain/rounds/aggregation-mode.js';
import { requireOpen } from '../domain/rounds/round-decisions.js';
import { knownCode } from '../domain/rounds/round-evolution.js';
import type { MemberState, RoundState, StageState } from '../domain/rounds/round-state.js';
import { findRound } from './round-ref.js';

/** The agent that may send updates now. Throws UNAUTHENTICATED, AGENT_REVOKED, AGENT_NOT_APPROVED. */
export function requireAgent(state: FederationState, agentId: string): AgentState {
  const agent = state.agents.get(agentId);
  if (agent === undefined) throw new TributaryError('UNAUTHENTICATED', 'the agent is not enrolled');
  if (agent.revokedAt !== undefined) throw new TributaryError('AGENT_REVOKED', 'the agent was revoked');
  if (agent.approvedAt === undefined)
    throw new TributaryError('AGENT_NOT_APPROVED', 'the site is not approved yet');
  return agent;
}

/** What became of an upload whose header fits the state. */
export type Admission =
  | { readonly kind: 'open'; readonly job: JobState; readonly round: RoundState }
  /** Accepted before, by this entry. */
  | { readonly kind: 'accepted'; readonly seq: number };

/**
 * Compares a header, whose signature was verified, with the round that is open. Throws UPDATE_WRONG_ROUND,
 * NOT_IN_COHORT, UPLOAD_ID_REUSED, UPDATE_DUPLICATE, UPDATE_LATE, UPDATE_WRONG_SHAPE, and for a repeat of a refused
 * upload the code of its refusal.
 */
export function admitUpload(
  state: FederationState,
  logId: string,
  header: EnvelopeHeader,
  headerDigest: Digest,
): Admission {
  if (!WIRE_VERSIONS.includes(header.wire)) {
    throw new TributaryError('VERSION_UNSUPPORTED', `header.wire: ${header.wire} is not served`);
  }
  if (header.logId !== logId) throw wrongRound('the update is for another log');
  const found = findRound(state, header);
  if (found === undefined) throw wrongRound('the round is not open');
  const { job, round } = found;
  const member = requireMember(round, header);
  const seq = acceptedBefore(round, header, headerDigest);
  if (seq !== undefined) return { kind: 'accepted', seq };
  requireNotRefused(member, header.uploadId);
  requireOpen(round, requireUpdateStage(round, header.stage), member);
  if (header.baseDigest !== round.baseDigest) throw wrongRound('the update is for another base model');
  if (header.layoutDigest !== round.layoutDigest || header.vectorLength !== round.vectorLength) {
    const expected = `${String(round.vectorLength)} elements in layout ${round.layoutDigest}`;
    throw new TributaryError('UPDATE_WRONG_SHAPE', `the round takes ${expected}`);
  }
  const encoding = round.secure === undefined ? 'f32' : 'ring';
  if (header.encoding !== encoding)
    throw new TributaryError('UPDATE_WRONG_SHAPE', `the round takes updates encoded as ${encoding}`);
  return { kind: 'open', job, round };
}

function requireMember(round: RoundState, { site, agentId }: EnvelopeHeader): MemberState {
  const member = round.cohort.get(requireName(site, 'header.site'));
  if (member?.agentId === agentId) return member;
  throw new TributaryError('NOT_IN_COHORT', 'the site is not in the cohort of this round');
}

function acceptedBefore(round: RoundState, header: EnvelopeHeader, headerDigest: Digest): number | undefined {
  const accepted = round.updates.get(header.site);
  if (accepted === undefined) return undefined;
  if (accepted.uploadId !== header.uploadId) {
    throw new TributaryError('UPDATE_DUPLICATE', 'the site has already sent another update for this round');
  }
  if (accepted.headerDigest !== headerDigest) throw idReused();
  return accepted.seq;
}

/** A repeat of a refused upload is told again why, before anything else. */
function requireNotRefused(member: MemberState, uploadId: string): void {
  if (member.fate === 'Refused' && member.uploadId === uploadId) throw refusalOf(member);
}

function requireUpdateStage(round: RoundState, name: string): StageState {
  const stage = round.stages.find((one) => one.name === name);
  if (stage !== undefined && gathersUpdates(name)) return stage;
  throw wrongRound('the round takes no updates in that stage');
}

/** The refusal of a member as the error that its agent was told first. */
function refusalOf(member: MemberState): TributaryError {
  return new TributaryError(knownCode(member.code ?? 'INTERNAL'), member.detail ?? 'the update was refused');
}

export const idReused = (): TributaryError =>
  new TributaryError(
    'UPLOAD_ID_REUSED',
    'the upload id was used with another header; a new plaintext needs a new id',
  );

export const late = (): TributaryError =>
  new TributaryError('UPDATE_LATE', 'the stage closed before the update was complete');

const wrongRound = (why: string): TributaryError => new TributaryError('UPDATE_WRONG_ROUND', why);
