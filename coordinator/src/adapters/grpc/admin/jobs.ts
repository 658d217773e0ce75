import {
  encodeBase64,
  formatId,
  parseDocumentBytes,
  TributaryError,
  type FederatedJob,
  type LedgerEntry,
  type NewEntry,
} from '@tributary/proto';
import type { ApplyRequest__Output, ApplyResponse, ControlJobRequest__Output } from '@tributary/proto/grpc';

import { decide } from '../../../domain/decide.js';
import type { SubmitJob } from '../../../domain/command.js';
import type { OperatorCaller } from '../caller.js';
import { fromApply, fromControl } from '../wire/admin.js';
import type { AdminParts } from './parts.js';
import { toObjectMessage, type ObjectViews } from './object-views.js';

/** Records a document whose form and signature the domain checks: created, configured, or found unchanged. */
export async function apply(
  parts: AdminParts,
  views: ObjectViews,
  request: ApplyRequest__Output,
  caller: OperatorCaller,
): Promise<ApplyResponse> {
  const { document, authorKey, signature, dryRun } = fromApply(request);
  const job = requireJob(document);
  const command: SubmitJob = {
    kind: 'submit-job',
    now: parts.clock.now(),
    actor: caller.actor,
    jobId: formatId('job', parts.random.bytes(16)),
    document: Buffer.from(document).toString('utf8'),
    authorKey: encodeBase64(authorKey),
    signature: encodeBase64(signature),
  };
  if (dryRun) {
    const outcome = outcomeOf(decide(parts.federation.state, command));
    const known = views.get('FederatedJob', job.metadata.name);
    const shown =
      known === undefined
        ? { kind: 'FederatedJob', name: job.metadata.name, document }
        : toObjectMessage(known);
    return { outcome, object: shown };
  }
  const outcome = outcomeOf(await parts.federation.execute(command));
  return { outcome, object: toObjectMessage(views.require('FederatedJob', job.metadata.name)) };
}

/** Suspends, resumes or cancels; the answer is the name of the job. */
export async function control(
  parts: AdminParts,
  request: ControlJobRequest__Output,
  caller: OperatorCaller,
): Promise<string> {
  const { name, action, reason } = fromControl(request);
  const asked = { now: parts.clock.now(), actor: caller.actor, name };
  await parts.federation.execute(
    action === 'resume-job' ? { kind: action, ...asked } : { kind: action, ...asked, reason },
  );
  return name;
}

function requireJob(document: Uint8Array): FederatedJob {
  const parsed = parseDocumentBytes(document);
  if (parsed.kind === 'FederatedJob') return parsed;
  throw new TributaryError('DOCUMENT_INVALID', `kind: a ${parsed.kind} is not applied to the coordinator`, {
    hint: 'a SitePolicy is a file at its site: the agent reads it there',
  });
}

function outcomeOf(entries: readonly (NewEntry | LedgerEntry)[]): 'CREATED' | 'CONFIGURED' | 'UNCHANGED' {
  if (entries.some(({ type }) => type === 'job.submitted')) return 'CREATED';
  return entries.length > 0 ? 'CONFIGURED' : 'UNCHANGED';
}
