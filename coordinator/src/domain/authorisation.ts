import { TributaryError, type EntryType, type LedgerEntry } from '@tributary/proto';

import type { FederationState, Role } from './federation-state.js';
import { findRollout, selectsSite } from './rollouts.js';

/** Who calls: a context by its role, an agent that is approved or not yet, or somebody without a certificate. */
export type Principal = Role | 'agent' | 'pending-agent' | 'anyone';

const ADMIN = ['admin'] as const;
const OPERATORS = ['viewer', 'admin'] as const;
const AGENTS = ['agent'] as const;
const JOINED = ['pending-agent', 'agent'] as const;
const ANYONE = ['anyone', 'pending-agent', 'agent', 'viewer', 'admin'] as const;
const READERS = ['agent', 'viewer', 'admin'] as const;

/** Who may call which method: every method of every service has a row; what has none is refused. */
export const METHOD_PRINCIPALS = {
  // Enrolment: signatures stand for certificates.
  Enroll: ANYONE,
  GetChallenge: ANYONE,
  Renew: ANYONE,
  // Fleet.
  Connect: JOINED,
  FetchBlob: AGENTS,
  GetUploadStatus: AGENTS,
  SubmitUpdate: AGENTS,
  // Ledger, on the fleet port and on the admin port; what an entry shows to whom is a table of its own.
  GetEntries: READERS,
  GetTreeHead: READERS,
  GetInclusionProof: READERS,
  GetConsistencyProof: READERS,
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
 * of sites that were in a cohort of its job; `own-rollouts`: those of sites that its rollout selects; `operators`: none. Contexts read everything: entries hold no secrets.
 */
type Audience = 'everyone' | 'own-site' | 'own-jobs' | 'own-rollouts' | 'operators';

export const ENTRY_AUDIENCE: Readonly<Record<EntryType, Audience>> = {
  'federation.created': 'everyone',
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
  'job.started': 'own-jobs',
  'job.completed': 'own-jobs',
  'job.failed': 'own-jobs',
  'job.deleted': 'own-jobs',
  'round.opened': 'own-jobs',
  'site.declined': 'own-site',
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

/** Whether agents of `site` may read the body of an entry. Entries of deleted jobs are read by contexts only. */
export function mayAgentRead(state: FederationState, site: string, entry: LedgerEntry): boolean {
  switch (ENTRY_AUDIENCE[entry.type]) {
    case 'everyone':
      return true;
    case 'own-site':
      return 'site' in entry.body && entry.body.site === site;
    case 'own-jobs':
      return 'jobId' in entry.body && (state.jobs.get(entry.body.jobId)?.members.includes(site) ?? false);
    case 'own-rollouts':
      return 'rolloutId' in entry.body && concerns(state, site, entry.body);
    case 'operators':
      return false;
  }
}

function concerns(
  state: FederationState,
  site: string,
  { model, rolloutId }: { readonly model: string; readonly rolloutId: string },
): boolean {
  const rollout = findRollout(state, model, rolloutId);
  const known = state.sites.get(site);
  return rollout !== undefined && known !== undefined && selectsSite(rollout, known);
}
