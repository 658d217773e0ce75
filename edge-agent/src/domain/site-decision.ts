import {
  encodeBase64,
  transcript,
  verifySignature,
  type SitePolicySpec,
  type TranscriptFields,
} from '@tributary/proto';

import type { SignedJobDecision } from '../ports.js';
import type { SiteDecision } from './policy.js';

/** Whose decisions count at this site. */
export interface DecisionMaker {
  readonly logId: string;
  readonly site: string;
  readonly agentId: string;
  /** Identity key of the agent. */
  readonly identityKey: Uint8Array;
}

/** What is signed. */
export type DecisionStatement = Pick<
  SignedJobDecision,
  'jobId' | 'jobDigest' | 'decision' | 'approverKey' | 'decidedAt'
>;

/** The bytes that approver and agent sign. */
export function decisionTranscript(
  { logId, site, agentId }: Omit<DecisionMaker, 'identityKey'>,
  { jobId, jobDigest, decision, approverKey, decidedAt }: DecisionStatement,
): Uint8Array {
  const fields: TranscriptFields['approval'] = {
    logId,
    jobId,
    jobDigest,
    site,
    agentId,
    approver: encodeBase64(approverKey),
    decision,
    time: decidedAt,
  };
  return transcript('approval', fields);
}

/** Name of the approver under the policy in force; undefined for a key whose word does not count. */
export function approverNamed(
  { approval }: Pick<SitePolicySpec, 'approval'>,
  { identityKey, site }: DecisionMaker,
  key: Uint8Array,
): string | undefined {
  const text = encodeBase64(key);
  const approvers = approval.type === 'Manual' ? approval.approvers : [];
  if (approvers.length > 0) return approvers.find((one) => one.key === text)?.name;
  return text === encodeBase64(identityKey) ? site : undefined;
}

/**
 * What the site has decided about a job: a decision counts while the policy lists its approver, for the document that it
 * names, and where both signatures verify. None otherwise.
 */
export function decisionInForce(
  policy: Pick<SitePolicySpec, 'approval'>,
  maker: DecisionMaker,
  job: Pick<SignedJobDecision, 'jobId' | 'jobDigest'>,
  given: SignedJobDecision | undefined,
): SiteDecision {
  if (given === undefined || given.jobId !== job.jobId || given.jobDigest !== job.jobDigest) return 'None';
  if (approverNamed(policy, maker, given.approverKey) === undefined) return 'None';
  const signed = decisionTranscript(maker, given);
  const holds =
    verifySignature(given.approverKey, signed, given.signature) &&
    verifySignature(maker.identityKey, signed, given.siteSignature);
  return holds ? given.decision : 'None';
}
