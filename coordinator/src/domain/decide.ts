import { decodeBase64, LIMITS, TributaryError, type NewEntry } from '@tributary/proto';

import type {
  Command,
  CreateFederation,
  RaiseAlarm,
  RegisterModel,
  RolloutCommand,
  RoundCommand,
} from './command.js';
import { decideContext } from './contexts.js';
import { alarmOf, decideEnrolment } from './enrolment.js';
import type { FederationState } from './federation-state.js';
import { decideRoster } from './membership.js';
import { nextModelVersion } from './job-queue.js';
import { decideJob, requireJobId } from './jobs.js';
import { decideRollout } from './rollouts.js';
import { decideSiteJob } from './site-readiness.js';
import { isTrained } from './rounds/next-round.js';
import { openRound } from './rounds/opening.js';
import { decideAttempt, shortDetail } from './rounds/round-decisions.js';
import { isUnfinished } from './rounds/round-progress.js';
import type { RoundState } from './rounds/round-state.js';

/**
 * What a command means for a state: the entries to record, none where it was carried out before. Throws a
 * TributaryError where it is refused.
 */
export function decide(state: FederationState, command: Command): readonly NewEntry[] {
  if (command.kind === 'create-federation') return createFederation(state, command);
  if (state.federation === undefined)
    throw new TributaryError('CONFLICT', 'the federation is not initialised yet');
  return decideFounded(state, command);
}

function decideFounded(
  state: FederationState,
  command: Exclude<Command, CreateFederation>,
): readonly NewEntry[] {
  switch (command.kind) {
    case 'create-context':
    case 'revoke-context':
      return decideContext(state, command);
    case 'create-token':
    case 'enrol-agent':
    case 'renew-agent':
    case 'start-agent':
    case 'approve-site':
    case 'revoke-site':
      return decideEnrolment(state, command);
    case 'publish-roster':
      return decideRoster(state, command);
    case 'decide-job':
      return decideSiteJob(state, command);
    case 'raise-alarm':
      return raiseAlarm(command);
    default:
      return decideModels(state, command);
  }
}

type ModelCommand = RegisterModel | RolloutCommand;

function decideModels(state: FederationState, command: ModelCommand | WorkCommand): readonly NewEntry[] {
  switch (command.kind) {
    case 'register-model':
      return registerModel(state, command);
    case 'apply-rollout':
    case 'undo-rollout':
      return decideRollout(state, command);
    default:
      return decideWork(state, command);
  }
}

/** What is recorded although the command was refused with `error`: alarms. */
export function recordOfRefusal(
  state: FederationState,
  command: Command,
  error: unknown,
): readonly NewEntry[] {
  return command.kind === 'enrol-agent' ? alarmOf(state, command, error) : [];
}

type WorkCommand = RoundCommand | Parameters<typeof decideJob>[1];

function decideWork(state: FederationState, command: WorkCommand): readonly NewEntry[] {
  switch (command.kind) {
    case 'submit-job':
    case 'configure-job':
    case 'suspend-job':
    case 'resume-job':
    case 'cancel-job':
    case 'delete-job':
    case 'start-job':
    case 'complete-job':
    case 'fail-job':
      return decideJob(state, command);
    case 'open-round':
      return openRound(state, command);
    default:
      return decideAttempt(requireAttempt(state, command), command);
  }
}

function createFederation(state: FederationState, command: CreateFederation): readonly NewEntry[] {
  const { actor, federationId, name, logKey, modelKey, caDigest } = command;
  if (state.federation?.federationId === federationId) return [];
  if (state.seq > 0) throw new TributaryError('CONFLICT', 'this ledger belongs to a federation already');
  decodeBase64(logKey, 'logKey', 32);
  decodeBase64(modelKey, 'modelKey', 32);
  const body = { federationId, name, logKey, modelKey, caDigest };
  return [{ type: 'federation.created', actor, subject: 'federation', body }];
}

function raiseAlarm({ actor, subject, code, detail }: RaiseAlarm): readonly NewEntry[] {
  const body = { code: code.slice(0, LIMITS.nameLength), detail: shortDetail(detail) };
  return [{ type: 'alarm.raised', actor, subject, body }];
}

function registerModel(state: FederationState, command: RegisterModel): readonly NewEntry[] {
  const { actor, jobId, version, manifestDigest, weightsDigest, signature } = command;
  const job = requireJobId(state, jobId);
  const model = job.document.spec.model.name;
  if (job.model !== undefined) return [];
  if (job.phase === 'Failed' || !isTrained(job) || isUnfinished(job.round)) {
    throw new TributaryError('CONFLICT', 'a job registers its model after its last round');
  }
  if (job.base?.modelDigest !== weightsDigest)
    throw new TributaryError('CONFLICT', 'these are not the weights of the last round');
  const expected = nextModelVersion(state, model);
  if (version !== expected)
    throw new TributaryError('CONFLICT', `the next version of ${model} is ${String(expected)}`);
  decodeBase64(signature, 'signature', 64);
  const body = { model, version, jobId, manifestDigest, weightsDigest, signature };
  return [{ type: 'model.registered', actor, subject: `model/${model}`, body }];
}

/** The newest attempt of the job, if it is the one that the command is about. */
function requireAttempt(state: FederationState, { jobId, round, attempt }: RoundCommand): RoundState {
  const known = state.jobs.get(jobId)?.round;
  if (known?.round === round && known.attempt === attempt) return known;
  throw new TributaryError('UPDATE_WRONG_ROUND', 'this is not the newest round of the job');
}
