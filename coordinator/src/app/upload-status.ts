import type { FederationState } from '../domain/federation-state.js';
import { knownCode } from '../domain/rounds/round-evolution.js';
import type { RoundState } from '../domain/rounds/round-state.js';
import type { UploadStatus } from './upload.js';

/** What the ledger says of an upload of the agent, in the newest round of each job; undefined where nothing. */
export function settledStatus(
  state: FederationState,
  agentId: string,
  uploadId: string,
): UploadStatus | undefined {
  const site = state.agents.get(agentId)?.site;
  if (site === undefined) return undefined;
  for (const { round } of state.jobs.values()) {
    const status = round && (acceptedStatus(round, site, uploadId) ?? refusedStatus(round, site, uploadId));
    if (status !== undefined) return status;
  }
  return undefined;
}

function acceptedStatus({ updates }: RoundState, site: string, uploadId: string): UploadStatus | undefined {
  const update = updates.get(site);
  return update?.uploadId === uploadId ? { state: 'Accepted', seq: update.seq } : undefined;
}

function refusedStatus({ cohort }: RoundState, site: string, uploadId: string): UploadStatus | undefined {
  const member = cohort.get(site);
  if (member?.uploadId !== uploadId || member.code === undefined || member.seq === undefined)
    return undefined;
  return { state: 'Refused', code: knownCode(member.code), detail: member.detail ?? '', seq: member.seq };
}
