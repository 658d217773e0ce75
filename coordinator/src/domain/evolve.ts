import { LIMITS, type EntryOf, type LedgerEntry } from '@tributary/proto';

import { evolveEnrolment } from './enrolment-evolution.js';
import type { FederationState } from './federation-state.js';
import { evolveJobs, type JobEntry } from './job-evolution.js';
import { evolveMembership, type MembershipEntry } from './membership.js';
import { evolveRollouts } from './rollouts.js';

/** The state after an entry. */
export function evolve(state: FederationState, entry: LedgerEntry): FederationState {
  return { ...apply(state, entry), seq: entry.seq + 1, at: Date.parse(entry.time) };
}

function apply(state: FederationState, entry: LedgerEntry): FederationState {
  switch (entry.type) {
    case 'federation.created':
      return { ...state, federation: { ...entry.body, createdAt: Date.parse(entry.time) } };
    case 'context.created':
    case 'context.revoked':
      return evolveContext(state, entry);
    case 'token.created':
    case 'agent.enrolled':
    case 'agent.renewed':
    case 'agent.started':
    case 'agent.approved':
    case 'agent.revoked':
      return evolveEnrolment(state, entry);
    case 'alarm.raised':
      return raiseAlarm(state, entry);
    default:
      return evolveWork(state, entry);
  }
}

type RolloutEntry = EntryOf<'rollout.applied' | 'rollout.undone'>;

/** Who counts as a member; jobs, the models that they make, and which of these are served. */
function evolveWork(
  state: FederationState,
  entry: JobEntry | RolloutEntry | MembershipEntry,
): FederationState {
  if (entry.type === 'root.rotated' || entry.type === 'roster.published')
    return evolveMembership(state, entry);
  if (entry.type === 'rollout.applied' || entry.type === 'rollout.undone')
    return { ...state, rollouts: evolveRollouts(state.rollouts, entry) };
  const next = { ...state, jobs: evolveJobs(state.jobs, entry) };
  return entry.type === 'model.registered' ? registerModel(next, entry) : next;
}

function evolveContext(
  state: FederationState,
  entry: EntryOf<'context.created' | 'context.revoked'>,
): FederationState {
  const contexts = new Map(state.contexts);
  const { seq } = entry;
  if (entry.type === 'context.created') {
    const { context: name, role, keyDigest } = entry.body;
    return { ...state, contexts: contexts.set(name, { name, role, keyDigest, revoked: false, seq }) };
  }
  const known = contexts.get(entry.body.context);
  if (known !== undefined) contexts.set(known.name, { ...known, revoked: true, seq });
  return { ...state, contexts };
}

function raiseAlarm(state: FederationState, entry: EntryOf<'alarm.raised'>): FederationState {
  const { subject, seq } = entry;
  const alarm = { ...entry.body, subject, at: Date.parse(entry.time), seq };
  const alarms = [...state.alarms, alarm].slice(-LIMITS.alarmsKept);
  const token = subject.startsWith('token/') ? state.tokens.get(subject.slice('token/'.length)) : undefined;
  if (token === undefined) return { ...state, alarms };
  return { ...state, alarms, tokens: new Map(state.tokens).set(token.tokenId, { ...token, alarmed: true }) };
}

function registerModel(state: FederationState, entry: EntryOf<'model.registered'>): FederationState {
  const { model: name, version, jobId, manifestDigest, weightsDigest, signature } = entry.body;
  const jobName = state.jobs.get(jobId)?.name ?? '';
  const registered = { version, jobId, jobName, manifestDigest, weightsDigest, signature };
  const versions = state.models.get(name)?.versions ?? [];
  const next = { ...registered, createdAt: Date.parse(entry.time), seq: entry.seq };
  return { ...state, models: new Map(state.models).set(name, { name, versions: [...versions, next] }) };
}
