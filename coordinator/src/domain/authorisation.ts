import { TributaryError, type EntryType, type LedgerEntry } from '@tributary/proto';

import type { AgentState, FederationState, Role } from './federation-state.js';
import { findRollout, selectsSite } from './rollouts.js';

/**
 * Who calls: a context by its role, an agent that trains or a replica, both approved, either of them not yet approved, or
 * somebody without a certificate.
 */
export type Principal = Role | 'agent' | 'replica' | 'pending-agent' | 'anyone';

const ADMIN = ['admin'] as const;
const OPERATORS = ['viewer', 'admin'] as const;
const TRAINERS = ['agent'] as const;
const AGENTS = ['replica', 'agent'] as const;
const JOINED = ['pending-agent', 'replica', 'agent'] as const;
const ANYONE = ['anyone', 'pending-agent', 'replica', 'agent', 'viewer', 'admin'] as const;
const READERS = ['replica', 'agent', 'viewer', 'admin'] as const;

/** Who may call which method: every method of every service has a row; what has none is refused. */
export const METHOD_PRINCIPALS = {
  // Enrolment: signatures stand for certificates.
  Enroll: ANYONE,
  GetChallenge: ANYONE,
  Renew: ANYONE,
  // Fleet.
  Connect: JOINED,
  FetchBlob: AGENTS,
  GetUploadStatus: TRAINERS,
  SubmitUpdate: TRAINERS,
  SubmitStage: TRAINERS,
  GetStage: TRAINERS,
  // Ledger, on the fleet port and on the admin port; what an entry shows to whom is a table of its own.
  GetEntries: READERS,
  GetTreeHead: READERS,
  GetInclusionProof: READERS,
  GetConsistencyProof: READERS,
  GetCosignatures: READERS,
  // Admin.
  GetVersion: OPERATORS,
  GetObject: OPERATORS,
  ListObjects: OPERATORS,
  DescribeObject: OPERATORS,
  WatchObjects: OPERATORS,
  StreamLogs: OPERATORS,
  FetchModelBlob: OPERATORS,
  Apply: ADMIN,
  DeleteObject: ADMIN,
  ControlJob: ADMIN,
  CreateInvitation: ADMIN,
  ApproveSite: ADMIN,
  RevokeSite: ADMIN,
  UndoRollout: ADMIN,
  CreateContext: ADMIN,
  RevokeContext: ADMIN,
  PublishRoster: ADMIN,
  StreamBackup: ADMIN,
} as const satisfies Record<string, readonly Principal[]>;

export type Method = keyof typeof METHOD_PRINCIPALS;

/** Throws PERMISSION_DENIED, or AGENT_NOT_APPROVED where approval is all that is missing. */
export function requirePermission(principal: Principal, method: Method): void {
  const allowed: readonly Principal[] = METHOD_PRINCIPALS[method];
  if (allowed.includes(principal)) return;
  if (principal === 'pending-agent' && allowed.includes('agent')) {
    throw new TributaryError('AGENT_NOT_APPROVED', 'the site has joined but is not approved yet');
  }
  throw new TributaryError(
    'PERMISSION_DENIED',
    `${method} needs the role ${allowed.at(-1) ?? 'admin'}, not ${principal}`,
  );
}

/**
 * Which agents may read an entry. `everyone`: all agents; `own-site`: those of the site that it names; `own-jobs`: those
 * of sites that were in a cohort of its job; `own-rollouts`: those of sites that its rollout selects; `operators`: none. A
 * replica reads nothing of jobs, and of its site only what is about itself. Contexts read everything: entries hold no secrets.
 */
type Audience = 'everyone' | 'own-site' | 'own-jobs' | 'own-rollouts' | 'operators';

export const ENTRY_AUDIENCE: Readonly<Record<EntryType, Audience>> = {
  'federation.created': 'everyone',
  'root.rotated': 'everyone',
  'roster.published': 'everyone',
  'context.created': 'operators',
  'context.revoked': 'operators',
  'token.created': 'operators',
  'alarm.raised': 'operators',
  'agent.enrolled': 'own-site',
  'agent.renewed': 'own-site',
  'agent.started': 'own-site',
  'agent.approved': 'own-site',
  'agent.revoked': 'own-site',
  'job.submitted': 'own-jobs',
  'job.configured': 'own-jobs',
  'job.suspended': 'own-jobs',
  'job.resumed': 'own-jobs',
  'job.approved': 'own-site',
  'job.rejected': 'own-site',
  'job.started': 'own-jobs',
  'job.completed': 'own-jobs',
  'job.failed': 'own-jobs',
  'job.deleted': 'own-jobs',
  'round.opened': 'own-jobs',
  'site.declined': 'own-site',
  'site.waits': 'own-site',
  'stage.message': 'own-site',
  'stage.closed': 'own-jobs',
  'update.accepted': 'own-site',
  'update.refused': 'own-site',
  'round.committed': 'own-jobs',
  'round.failed': 'own-jobs',
  'model.registered': 'own-jobs',
  'rollout.applied': 'own-rollouts',
  'rollout.undone': 'own-rollouts',
};

type Reader = Pick<AgentState, 'agentId' | 'site' | 'kind'>;

/** Whether an agent or a replica may read the body of an entry. Entries of deleted jobs are read by contexts only. */
export function mayAgentRead(state: FederationState, reader: Reader, entry: LedgerEntry): boolean {
  switch (ENTRY_AUDIENCE[entry.type]) {
    case 'everyone':
      return true;
    case 'own-site':
      return isOwn(reader, entry.body);
    case 'own-jobs':
      return reader.kind === 'Training' && isOfMember(state, reader, entry.body);
    case 'own-rollouts':
      return 'rolloutId' in entry.body && concerns(state, reader.site, entry.body);
    case 'operators':
      return false;
  }
}

function isOwn({ agentId, site, kind }: Reader, body: LedgerEntry['body']): boolean {
  if (kind === 'Serving') return 'agentId' in body && body.agentId === agentId;
  return 'site' in body && body.site === site;
}

const isOfMember = (state: FederationState, { site }: Reader, body: LedgerEntry['body']): boolean =>
  'jobId' in body && (state.jobs.get(body.jobId)?.members.includes(site) ?? false);

function concerns(
  state: FederationState,
  site: string,
  { model, rolloutId }: { readonly model: string; readonly rolloutId: string },
): boolean {
  const rollout = findRollout(state, model, rolloutId);
  const known = state.sites.get(site);
  return rollout !== undefined && known !== undefined && selectsSite(rollout, known);
}
